import { defineConfig } from '@playwright/test';

/** 16:40 on a Monday in Paris: a busy shop, so that curves have a shape. Fixed, so that screenshots can be compared. */
export const CLOCK = '2026-03-16T15:40:00Z';
const PORT = 4317;
const OFFICE_PORT = 4321;

const SERVER = { reuseExistingServer: false, env: { COMPTOIR_SIM_CLOCK: CLOCK, TZ: 'Europe/Paris' } };

/**
 * The tests of `e2e/ui` and the screenshots, on the built pages and the simulated gateway, and those of `e2e/office`, on
 * the office's page and the simulated office.
 */
export default defineConfig({
  testDir: 'e2e',
  outputDir: 'test-results',
  timeout: 60_000,
  // Generous, because the machine may be compiling at the same time.
  expect: { timeout: 15_000 },
  // A test that passes only the second time has found a race.
  retries: 0,
  // All tests share one gateway: two at once would see each other's sales.
  workers: 1,
  fullyParallel: false,
  reporter: [['list']],
  use: {
    baseURL: `http://localhost:${PORT}`,
    timezoneId: 'Europe/Paris',
    locale: 'fr-FR',
    viewport: { width: 1440, height: 900 },
    trace: 'retain-on-failure',
    // A service worker's requests bypass routes, as do some of the page's while it takes over. Its own tests allow it.
    serviceWorkers: 'block',
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
  projects: [
    { name: 'ui', testMatch: 'ui/**/*.spec.ts' },
    { name: 'office', testMatch: 'office/**/*.spec.ts', use: { baseURL: `http://localhost:${OFFICE_PORT}` } },
    { name: 'screenshots', testMatch: 'screenshots.spec.ts' },
  ],
  webServer: [
    { ...SERVER, command: `npx vite preview --port ${PORT} --strictPort`, port: PORT },
    {
      ...SERVER,
      command: `npx vite preview --config vite.office.config.ts --port ${OFFICE_PORT} --strictPort`,
      port: OFFICE_PORT,
    },
  ],
});
