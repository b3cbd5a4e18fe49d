import { test as base } from '@playwright/test';
import { CLOCK } from '../../playwright.config';
import type { Wish } from '../../dev/api';

/** Asks the simulated gateway for a situation. */
export const test = base.extend<{ simulate: (wish: Wish) => Promise<void> }>({
  simulate: async ({ request }, use) => {
    await use(async (wish) => {
      await request.post('/__sim', { data: wish });
    });
  },
});

/** Each test starts from the same shop, in which nobody buys anything until the test says so. */
test.beforeEach(async ({ page, simulate }) => {
  await page.clock.setFixedTime(CLOCK);
  await simulate({ reset: true, rate: 0 });
});

export { expect } from '@playwright/test';
