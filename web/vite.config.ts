import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';
import { simulatedGateway } from './dev/plugin';
import { finish } from './scripts/finish';

export default defineConfig({
  plugins: [svelte(), simulatedGateway(), finish({ serviceWorker: 'src/service-worker.js', budget: 150 * 1024 })],
  build: {
    target: 'es2022',
    // A data: URL would be a font that the policy forbids, and one that cannot be cached by itself.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  test: { include: ['src/**/*.test.ts', 'dev/**/*.test.ts'] },
});
