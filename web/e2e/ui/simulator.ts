import { test as base } from '@playwright/test';
import { CLOCK } from '../../playwright.config';
import type { Wish } from '../../dev/api';

type Fixtures = {
  /** Asks the simulated gateway for a situation. */
  simulate: (wish: Wish) => Promise<void>;
  shop: undefined;
};

export const test = base.extend<Fixtures>({
  simulate: async ({ request }, use) => {
    await use(async (wish) => {
      await request.post('/__sim', { data: wish });
    });
  },
  // Each test starts from the same shop, in which nobody buys anything until the test says so. A fixture, for a hook
  // written here would be of the first file alone that imports it.
  shop: [
    async ({ page, simulate }, use) => {
      await page.clock.setFixedTime(CLOCK);
      await simulate({ reset: true, rate: 0 });
      await use(undefined);
    },
    { auto: true },
  ],
});

export { expect } from '@playwright/test';
