/**
 * Daily totals in the shop's time zone, in a currency with three decimals. The test `page_totals` of `gateway/` creates
 * the sales.
 */
import { expect, test, type Browser } from '@playwright/test';
import { Dashboard } from '../pages/app';

/** The dashboard's figures at this instant in this time zone. */
async function readDashboard(browser: Browser, timezoneId: string, now: string) {
  const context = await browser.newContext({ timezoneId, locale: 'en-GB' });
  const page = await context.newPage();
  await page.clock.setFixedTime(now);
  const dashboard = new Dashboard(page);
  await dashboard.open('dashboard');
  const today = async (name: string) =>
    (await page.locator(`[data-card="${name}"] .so-far`).innerText()).replace(/\s/g, ' ');
  const rows = await page
    .locator('[data-panel="orders-per-hour"] table tbody tr')
    .evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent?.trim()).join(' ')));
  const found = {
    orders: await today('orders'),
    revenue: await today('revenue'),
    rows,
    revenueOfAll: await dashboard.card('revenue').innerText(),
  };
  await context.close();
  return found;
}

test('in Kolkata the day changes at half past six in the evening UTC', async ({ browser }) => {
  // Sales from 15:00 to 18:00 UTC fall between 20:30 and 23:30 in Kolkata.
  const before = await readDashboard(browser, 'Asia/Kolkata', '2026-11-15T18:20:00Z');
  expect([before.orders, before.revenue]).toEqual(['4 today', 'KWD 1.380 today']);
  expect(before.rows).toContain('23 1 0');
  const after = await readDashboard(browser, 'Asia/Kolkata', '2026-11-15T18:40:00Z');
  expect([after.orders, after.revenue]).toEqual(['0 today', 'KWD 0.000 today']);
  expect(after.rows).toContain('23 0 1');
});

test('a day of 23 hours and one of 25 are complete', async ({ browser }) => {
  const spring = await readDashboard(browser, 'Europe/Paris', '2026-03-29T21:30:00Z');
  expect([spring.orders, spring.revenue]).toEqual(['23 today', 'KWD 7.935 today']);
  expect(spring.rows).toContain('02 0 1');
  const autumn = await readDashboard(browser, 'Europe/Paris', '2026-10-25T22:30:00Z');
  expect([autumn.orders, autumn.revenue]).toEqual(['25 today', 'KWD 8.625 today']);
  expect(autumn.rows).toContain('02 2 1');
});

test('a name with a right-to-left override does not reorder the text beside it', async ({ page }) => {
  await page.goto('/orders');
  const name = page.locator('[data-panel="orders"] .customer bdi').first();
  await expect(name).toHaveText('\u202eדנה');
  expect(await name.evaluate((of) => getComputedStyle(of).unicodeBidi)).toBe('isolate');
  await page.goto('/dashboard');
  const what = page.locator('[data-panel="activity"] tr[data-kind="order"] .cut').first();
  await expect(what).toHaveText('\u202eדנה · x');
  // The product stands to the right of the name.
  const [left, right] = await what
    .locator('bdi')
    .evaluateAll((parts) => parts.map((part) => part.getBoundingClientRect().left));
  expect(left).toBeLessThan(right!);
});
