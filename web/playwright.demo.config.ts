import { defineConfig } from '@playwright/test';
import ui from './playwright.config';

const GATEWAY_PORT = 4337;
const MQTT_PORT = 4338;
const PAGES_PORT = 4339;
const gateway = process.env.COMPTOIR_GATEWAY ?? '../target/debug/gateway';
// The test fixtures read this variable, too.
process.env.COMPTOIR_GATEWAY_URL = `http://127.0.0.1:${GATEWAY_PORT}`;

/**
 * The tests of `e2e/ui` against the real `gateway demo`, without its simulated tills. The pages are those of `dist/`,
 * with a proxy to the gateway. `COMPTOIR_GATEWAY` is the path of the binary.
 */
export default defineConfig({
  ...ui,
  // All tests share one gateway.
  workers: 1,
  use: { ...ui.use, baseURL: `http://localhost:${PAGES_PORT}` },
  projects: [{ name: 'ui-demo', testMatch: 'ui/**/*.spec.ts', grepInvert: /@simulator/ }],
  webServer: [
    {
      command: `${gateway} demo --terminals 0 --http 127.0.0.1:${GATEWAY_PORT} --mqtt 127.0.0.1:${MQTT_PORT}`,
      url: `http://127.0.0.1:${GATEWAY_PORT}/readyz`,
      reuseExistingServer: false,
    },
    { command: `npx vite preview --port ${PAGES_PORT} --strictPort`, port: PAGES_PORT, reuseExistingServer: false },
  ],
});
