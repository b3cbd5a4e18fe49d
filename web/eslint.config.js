import js from '@eslint/js';
import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import ts from 'typescript-eslint';
import svelteConfig from './svelte.config.js';

export default ts.config(
  // types.ts is generated.
  { ignores: ['src/lib/api/types.ts', 'dist/', 'screenshots/', 'test-results/', 'playwright-report/'] },
  js.configs.recommended,
  ...ts.configs.strict,
  ...ts.configs.stylistic,
  ...svelte.configs.recommended,
  {
    languageOptions: { globals: { ...globals.browser, ...globals.node } },
    rules: {
      '@typescript-eslint/consistent-type-definitions': ['error', 'type'],
      '@typescript-eslint/consistent-type-imports': 'error',
      eqeqeq: 'error',
    },
  },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: ts.parser, extraFileExtensions: ['.svelte'], svelteConfig } },
    // TypeScript itself knows which names exist; the rule does not know its types.
    rules: { 'no-undef': 'off', 'prefer-const': 'off' },
  },
  { files: ['**/*.ts'], rules: { 'no-undef': 'off' } },
  // A value that is missing fails the test by itself.
  { files: ['e2e/**/*.ts'], rules: { '@typescript-eslint/no-non-null-assertion': 'off' } },
  { files: ['src/service-worker.js'], languageOptions: { globals: globals.serviceworker } },
);
