/** Pictures of every page for people to look at; git ignores where they go. Narrow it: SHOTS=dashboard-laptop npm run screenshots */
import { test, type Page } from '@playwright/test';
import { CLOCK } from '../playwright.config';

const PAGES = ['dashboard', 'orders', 'payments', 'deliveries', 'gateway'];
const SCREENS = { laptop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 }, tablet: { width: 834, height: 1112 }, wall: { width: 1920, height: 1080 } };
const only = new RegExp(process.env.SHOTS ?? '.');

test.beforeEach(async ({ page, request }) => {
  await page.clock.setFixedTime(CLOCK);
  await request.post('/__sim', { data: { reset: true } });
});

async function shoot(page: Page, name: string, fullPage = false) {
  // Charts come after the first paint, rows with an animation.
  await page.waitForTimeout(2200);
  await page.screenshot({ path: `screenshots/${name}.png`, fullPage });
}

for (const [screen, viewport] of Object.entries(SCREENS)) {
  for (const lang of ['fr', 'en']) {
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const name of PAGES) {
        const title = `${name}-${screen}-${lang}-${colorScheme}`;
        if (!only.test(title)) continue;
        test.describe(title, () => {
          test.use({ viewport, colorScheme, locale: lang === 'fr' ? 'fr-FR' : 'en-GB' });
          test(title, async ({ page }) => {
            await page.goto(`/${name}`);
            await shoot(page, title);
            if (screen === 'phone') await shoot(page, `${title}-full`, true);
          });
        });
      }
    }
  }
}

const states: Record<string, (page: Page) => Promise<void>> = {
  'state-order-open': async (page) => {
    await page.goto('/orders');
    await page.locator('tbody tr.row').nth(2).locator('button').click();
  },
  'state-offline': async (page) => {
    await page.request.post('/api/demo/kafka', { data: { up: false } });
    await page.request.post('/__sim', { data: { rate: 40 } });
    await page.goto('/dashboard');
    await page.waitForTimeout(2500);
    await page.request.post('/__sim', { data: { rate: 0.6 } });
  },
  'state-offline-gateway': async (page) => {
    await page.request.post('/api/demo/kafka', { data: { up: false } });
    await page.goto('/gateway');
    await page.locator('[data-offset] .opener').first().click();
  },
  'state-lost': async (page) => {
    await page.goto('/dashboard');
    await page.waitForTimeout(1500);
    await page.request.post('/__sim', { data: { away: 5 } });
  },
  'state-empty': async (page) => {
    await page.request.post('/__sim', { data: { empty: true } });
    await page.goto('/dashboard');
  },
  'state-empty-orders': async (page) => {
    await page.request.post('/__sim', { data: { empty: true } });
    await page.goto('/orders');
    await page.getByTestId('auto').click();
  },
  'state-paid': async (page) => {
    await page.goto('/payments');
    await page.locator('[name=order_id]').fill('o-12345678');
    await page.locator('[name=amount]').fill('99,99');
    await page.locator('form button').click();
  },
};
for (const [name, arrange] of Object.entries(states)) {
  if (!only.test(name)) continue;
  test(name, async ({ page, request }) => {
    await arrange(page);
    await shoot(page, name);
    await request.post('/__sim', { data: { reset: true } });
  });
}
