import { defineConfig } from '@playwright/test';

/** 16:40 on a Monday in Paris: a shop in full swing, so that curves have a shape and pictures can be compared. */
export const CLOCK = '2026-03-16T15:40:00Z';
const PORT = 4317;

export default defineConfig({
  testDir: 'e2e',
  outputDir: 'test-results',
  timeout: 60_000,
  // A machine that also compiles is slow at times; a page is still right in the end.
  expect: { timeout: 15_000 },
  // A test that passes the second time has found a race.
  retries: 0,
  // One simulated gateway for all: two tests at once would see one another's sales.
  workers: 1,
  fullyParallel: false,
  reporter: [['list']],
  use: {
    baseURL: `http://localhost:${PORT}`,
    timezoneId: 'Europe/Paris',
    locale: 'fr-FR',
    viewport: { width: 1440, height: 900 },
    trace: 'retain-on-failure',
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    },
  },
  projects: [
    { name: 'ui', testMatch: 'ui/**/*.spec.ts' },
    { name: 'screenshots', testMatch: 'screenshots.spec.ts' },
  ],
  webServer: {
    command: `npx vite preview --port ${PORT} --strictPort`,
    port: PORT,
    reuseExistingServer: false,
    env: { COMPTOIR_SIM_CLOCK: CLOCK, TZ: 'Europe/Paris' },
  },
});
