import { existsSync } from 'node:fs';
import { defineConfig, type TestInfo } from '@playwright/test';

/** 16:40 on a Monday in Paris: a busy shop, so that curves have a shape. Fixed, so that screenshots can be compared. */
export const CLOCK = '2026-03-16T15:40:00Z';
/** One for each core of a small machine. */
const WORKERS = 2;
/** Worker 0's; each further worker has the next one. */
const GATEWAY_PORT = 4317;
const OFFICE_PORT = 4327;

export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
/** The same engine without a window: tests take a quarter less time. */
const HEADLESS_SHELL = process.env.CHROMIUM ?? '/usr/bin/chromium-headless-shell';

/**
 * A server for each worker, with the built pages and a simulated gateway or office. Two tests on one would see each
 * other's sales.
 */
const servers = (firstPort: number, options = '') =>
  Array.from({ length: WORKERS }, (_, worker) => ({
    command: `npx vite preview ${options} --port ${firstPort + worker} --strictPort`,
    port: firstPort + worker,
    reuseExistingServer: false,
    env: { COMPTOIR_SIM_CLOCK: CLOCK, TZ: 'Europe/Paris' },
  }));

/** The address of the server of a test's worker. `first` is that of worker 0. */
export function serverOf({ parallelIndex }: TestInfo, first = ''): string {
  const url = new URL(first);
  url.port = String(Number(url.port) + parallelIndex);
  return url.origin;
}

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
  workers: WORKERS,
  fullyParallel: false,
  reporter: [['list']],
  use: {
    baseURL: `http://localhost:${GATEWAY_PORT}`,
    timezoneId: 'Europe/Paris',
    locale: 'fr-FR',
    viewport: { width: 1440, height: 900 },
    // A trace takes a quarter of a test's time. For one: `npx playwright test --trace retain-on-failure`.
    trace: 'off',
    // A service worker's requests bypass routes, as do some of the page's while it takes over. Its own tests allow it.
    serviceWorkers: 'block',
    launchOptions: {
      executablePath: existsSync(HEADLESS_SHELL) ? HEADLESS_SHELL : CHROMIUM,
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
  webServer: [...servers(GATEWAY_PORT), ...servers(OFFICE_PORT, '--config vite.office.config.ts')],
});
