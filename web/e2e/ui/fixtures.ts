/**
 * Fixtures of the tests in this folder. They run against the simulated gateway and, except those tagged
 * `@simulator`, also against `gateway demo`, so that the simulated gateway cannot drift away from the real one.
 */
import { expect, test as base, type APIRequestContext } from '@playwright/test';
import type { Scenario } from '../../dev/api';
import type { Gateway, Stats } from '../../src/lib/api/types';
import { CLOCK, serverOf } from '../../playwright.config';

/**
 * For tests of situations that only the simulated gateway can create, and for tests of the browser alone, which would
 * only take time on the real gateway.
 */
export const SIMULATOR_ONLY = { tag: '@simulator' };

/** Texts depend on the language and contrasts on the colours, so these two pairs cover all four. */
export const LOOKS = [
  ['fr', 'light'],
  ['en', 'dark'],
] as const;

/** `playwright.demo.config.ts` sets the variable. */
const isSimulated = process.env.COMPTOIR_GATEWAY_URL === undefined;

/** Enough orders for a third page, and enough payments and deliveries for a full list. */
const SALES = 110;
const LISTED = 50;

type TestFixtures = {
  simulate: (scenario: Scenario) => Promise<void>;
  /** Every test starts in a quiet shop with a history. */
  quietShop: undefined;
};
type WorkerFixtures = {
  /** The history of the real shop. The simulated one has its own. */
  history: undefined;
};

async function createHistory(request: APIRequestContext): Promise<void> {
  const statuses = ['Pending', 'In Transit', 'Delivered'];
  for (let i = 0; i < SALES; i += 1) {
    await request.post('/api/orders', { data: {} });
    if (i >= LISTED) continue;
    await request.post('/api/payments', { data: {} });
    await request.post('/api/deliveries', { data: { status: statuses[i % statuses.length] } });
  }
}

export const getStats = async (request: APIRequestContext) => (await (await request.get('/api/stats')).json()) as Stats;

async function waitUntilAllInKafka(request: APIRequestContext): Promise<void> {
  await request.post('/api/demo/kafka', { data: { up: true } });
  await expect
    .poll(async () => ((await (await request.get('/api/gateway')).json()) as Gateway).journal.pending)
    .toBe(0);
}

export const test = base.extend<TestFixtures, WorkerFixtures>({
  baseURL: ({ baseURL }, use, test) => use(serverOf(test, baseURL)),
  simulate: async ({ request }, use) => {
    await use(async (scenario) => {
      await request.post('/__sim', { data: scenario });
    });
  },
  history: [
    async ({ playwright }, use, { project }) => {
      if (!isSimulated) {
        const request = await playwright.request.newContext({ baseURL: project.use.baseURL });
        await createHistory(request);
        await request.dispose();
      }
      await use(undefined);
    },
    { scope: 'worker', auto: true },
  ],
  // An automatic fixture, because a hook in this file would apply only to the first spec that imports it.
  quietShop: [
    async ({ page, request, simulate, history }, use) => {
      if (isSimulated) {
        await page.clock.setFixedTime(CLOCK);
        await simulate({ reset: true, rate: 0 });
      } else {
        await waitUntilAllInKafka(request);
      }
      await use(history);
    },
    { auto: true },
  ],
});

export { expect } from '@playwright/test';
