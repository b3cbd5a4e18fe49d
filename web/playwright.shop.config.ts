import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { defineConfig } from '@playwright/test';
import ui from './playwright.config';

/** The browser trusts this very certificate, and finds its name on this machine: as a phone does that was told so. */
const certificate = process.env.COMPTOIR_CERTIFICATE;
const trusting = (file: string) => {
  const key = new X509Certificate(readFileSync(file)).publicKey.export({ type: 'spki', format: 'der' });
  return [`--ignore-certificate-errors-spki-list=${createHash('sha256').update(key).digest('base64')}`, '--host-resolver-rules=MAP comptoir.local 127.0.0.1'];
};

/** Against a real gateway with a real Mosquitto and a real Kafka, or `gateway demo`: the tests `browser` of `gateway/` start them. */
export default defineConfig({
  ...ui,
  testDir: 'e2e/shop',
  timeout: 120_000,
  expect: { timeout: 20_000 },
  use: { ...ui.use, baseURL: process.env.COMPTOIR_URL, locale: 'en-GB' },
  projects: [
    { name: 'shop', testIgnore: ['demo.spec.ts', 'https.spec.ts', 'totals.spec.ts'] },
    { name: 'totals', testMatch: 'totals.spec.ts' },
    { name: 'demo', testMatch: 'demo.spec.ts' },
    {
      name: 'https', testMatch: 'https.spec.ts',
      use: { launchOptions: { ...ui.use?.launchOptions, args: [...(ui.use?.launchOptions?.args ?? []), ...(certificate ? trusting(certificate) : [])] } },
    },
  ],
  webServer: undefined,
});
