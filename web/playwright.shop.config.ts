import { defineConfig } from '@playwright/test';
import ui from './playwright.config';

/** Against a real gateway with a real Mosquitto and a real Kafka, or `gateway demo`: the tests `browser` of `gateway/` start them. */
export default defineConfig({
  ...ui,
  testDir: 'e2e/shop',
  timeout: 120_000,
  expect: { timeout: 20_000 },
  use: { ...ui.use, baseURL: process.env.COMPTOIR_URL, locale: 'en-GB' },
  projects: [
    { name: 'shop', testIgnore: 'demo.spec.ts' },
    { name: 'demo', testMatch: 'demo.spec.ts' },
  ],
  webServer: undefined,
});
