import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';
import { CSP } from './dev/csp';
import { simulatedGateway } from './dev/plugin';
import { BUILD_OPTIONS } from './scripts/buildOptions';
import { finishBuild } from './scripts/finish';

/** A running gateway that serves the API to the pages instead of the simulated one. */
const gatewayUrl = process.env.COMPTOIR_GATEWAY_URL;
const proxy = gatewayUrl ? { '/api': gatewayUrl, '/socket.io': { target: gatewayUrl, ws: true } } : undefined;

/** The pages of the gateway. `vite.office.config.ts` builds the office's. */
export default defineConfig({
  plugins: [
    svelte(),
    gatewayUrl ? null : simulatedGateway(),
    finishBuild({ serviceWorker: 'src/service-worker.js', maxBytes: 150 * 1024 }),
  ],
  build: BUILD_OPTIONS,
  server: { proxy },
  // Not for the development server: Vite's client needs inline scripts.
  preview: { proxy, headers: { 'content-security-policy': CSP } },
  test: { include: ['src/**/*.test.ts', 'office/**/*.test.ts', 'dev/**/*.test.ts'] },
});
