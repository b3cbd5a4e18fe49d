import { defineConfig } from '@playwright/test';
import ui from './playwright.config';

/** Against a real gateway with a real Mosquitto and a real Kafka, which the test `browser` of `gateway/` starts. */
export default defineConfig({
  ...ui,
  testDir: 'e2e/shop',
  timeout: 120_000,
  expect: { timeout: 20_000 },
  use: { ...ui.use, baseURL: process.env.COMPTOIR_URL, locale: 'en-GB' },
  projects: [{ name: 'shop' }],
  webServer: undefined,
});
