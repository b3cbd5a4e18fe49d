import type { BuildEnvironmentOptions } from 'vite';

/** How the pages of both programs are built. */
export const BUILD_OPTIONS = {
  target: 'es2022',
  // The content security policy forbids fonts in data: URLs, and the browser cannot cache them separately.
  assetsInlineLimit: 0,
  modulePreload: { polyfill: false },
  reportCompressedSize: false,
  // Code that every visit needs goes into one file, because split files compress worse.
  rolldownOptions: { output: { codeSplitting: { groups: [{ name: 'index', tags: ['$initial'] }] } } },
} satisfies BuildEnvironmentOptions;
