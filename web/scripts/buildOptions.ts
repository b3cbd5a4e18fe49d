import type { BuildEnvironmentOptions } from 'vite';

/** How the pages of both programs are built. */
export const BUILD_OPTIONS = {
  target: 'es2022',
  // The content security policy forbids fonts in data: URLs, and the browser cannot cache them separately.
  assetsInlineLimit: 0,
  modulePreload: { polyfill: false },
  reportCompressedSize: false,
  // What every visit needs is one file: split into several, it compresses worse.
  rolldownOptions: { output: { codeSplitting: { groups: [{ name: 'index', tags: ['$initial'] }] } } },
} satisfies BuildEnvironmentOptions;
