import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { defineConfig } from '@playwright/test';
import ui, { CHROMIUM } from './playwright.config';

/** The browser trusts this certificate and resolves its name to this machine, like a phone set up for the shop. */
const certificate = process.env.COMPTOIR_CERTIFICATE;
const trustArguments = (file: string) => {
  const key = new X509Certificate(readFileSync(file)).publicKey.export({ type: 'spki', format: 'der' });
  return [
    `--ignore-certificate-errors-spki-list=${createHash('sha256').update(key).digest('base64')}`,
    '--host-resolver-rules=MAP comptoir.local 127.0.0.1',
  ];
};

/** On a real gateway: the browser as people have it. */
const launchOptions = { ...ui.use?.launchOptions, executablePath: CHROMIUM };

/**
 * The tests of `e2e/shop`. The Rust tests in `gateway/tests/claims/browser.rs` and `page_totals.rs` start them, with a
 * real gateway, Mosquitto and Kafka, or with `gateway demo`.
 */
export default defineConfig({
  ...ui,
  testDir: 'e2e/shop',
  // All tests share one shop, and some take a part of it down.
  workers: 1,
  timeout: 120_000,
  expect: { timeout: 20_000 },
  use: { ...ui.use, launchOptions, baseURL: process.env.COMPTOIR_URL, locale: 'en-GB' },
  projects: [
    { name: 'shop', testIgnore: ['demo.spec.ts', 'https.spec.ts', 'totals.spec.ts'] },
    { name: 'totals', testMatch: 'totals.spec.ts' },
    { name: 'demo', testMatch: 'demo.spec.ts' },
    {
      name: 'https',
      testMatch: 'https.spec.ts',
      use: {
        launchOptions: {
          ...launchOptions,
          args: [...(launchOptions.args ?? []), ...(certificate ? trustArguments(certificate) : [])],
        },
      },
    },
  ],
  webServer: undefined,
});
