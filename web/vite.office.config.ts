import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { OFFICE_CSP } from './dev/csp';
import { simulatedOffice } from './dev/office';
import { BUILD_OPTIONS } from './scripts/buildOptions';
import { finishBuild } from './scripts/finish';

/** A running office that serves the API to the page instead of the simulated one. */
const officeUrl = process.env.COMPTOIR_OFFICE_URL;
const proxy = officeUrl ? { '/api': officeUrl } : undefined;

/** The page of the office. `vite.config.ts` builds those of the gateway. */
export default defineConfig({
  root: 'office',
  // The public files belong to the gateway's pages. This page imports those that it needs.
  publicDir: false,
  plugins: [
    svelte({ configFile: '../svelte.config.js' }),
    officeUrl ? null : simulatedOffice(),
    finishBuild({ maxBytes: 70 * 1024 }),
  ],
  build: { ...BUILD_OPTIONS, outDir: '../dist-office', emptyOutDir: true },
  // The page shares components with the gateway's pages.
  server: { proxy, fs: { allow: ['..'] } },
  // Not for the development server: Vite's client needs inline scripts.
  preview: { proxy, headers: { 'content-security-policy': OFFICE_CSP } },
});
