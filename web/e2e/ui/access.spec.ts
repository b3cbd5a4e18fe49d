/** axe finds nothing on any page, in both languages and both themes; everything can be done by keyboard. */
import axe from 'axe-core';
import { App, Deliveries, Gateway, Orders, PAGES, Payments } from '../pages/app';
import { expect, test } from './simulator';

const found = async (app: App) => {
  // Evaluated as a script of the test, which the policy of the pages does not concern.
  await app.page.evaluate(axe.source);
  const { violations } = await app.page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run());
  return violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(' | ')}`);
};

for (const lang of ['fr', 'en'] as const) {
  for (const colorScheme of ['light', 'dark'] as const) {
    test.describe(`${lang}, ${colorScheme}`, () => {
      test.use({ colorScheme, locale: lang === 'fr' ? 'fr-FR' : 'en-GB' });

      test('axe finds nothing', async ({ page }) => {
        const app = new App(page);
        for (const name of PAGES) {
          await app.open(name);
          await expect(page.locator('html')).toHaveAttribute('lang', lang);
          expect(await found(app), name).toEqual([]);
        }
      });

      test('nor with a row open, Kafka away, or nothing there', async ({ page, simulate, request }) => {
        const orders = new Orders(page);
        await orders.open('orders');
        await orders.rows().first().getByRole('button').click();
        await expect(orders.life()).toBeVisible();
        expect(await found(orders), 'open').toEqual([]);
        await request.post('/api/demo/kafka', { data: { up: false } });
        await orders.createOne();
        await expect(orders.bar).toHaveAttribute('data-tone', 'wait');
        expect(await found(orders), 'offline').toEqual([]);
        await simulate({ settings: [{ place: '/etc/comptoir/gateway.toml', key: 'journal.max_bytes', message: '10 is too small' }] });
        const gateway = new Gateway(page);
        await gateway.open('gateway');
        await expect(gateway.settings()).toBeVisible();
        expect(await found(gateway), 'settings').toEqual([]);
        await simulate({ empty: true });
        await orders.open('dashboard');
        expect(await found(orders), 'empty').toEqual([]);
      });
    });
  }
}

test.describe('on a phone', () => {
  test.use({ viewport: { width: 390, height: 844 } });

  test('axe finds nothing, and no page is wider than the screen', async ({ page }) => {
    const app = new App(page);
    for (const name of PAGES) {
      await app.open(name);
      expect(await found(app), name).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth), name).toBeLessThanOrEqual(390);
    }
  });
});

test('a sale is opened and a payment made without a mouse', async ({ page }) => {
  const orders = new Orders(page);
  await orders.open('orders');
  await page.keyboard.press('Tab');
  await expect(page.locator('.skip')).toBeFocused();
  await orders.create().focus();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await expect(orders.life()).toBeVisible();
  await page.keyboard.press('Enter');
  await expect(orders.life()).toHaveCount(0);

  const payments = new Payments(page);
  await payments.open('payments');
  await payments.field('order_id').focus();
  await page.keyboard.type('o-77');
  await page.keyboard.press('Tab');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Tab');
  await page.keyboard.type('3,20');
  await page.keyboard.press('Enter');
  await expect(payments.result().locator('[data-status]')).toContainText('o-77');
});

test('filters move with the arrows', async ({ page }) => {
  const deliveries = new Deliveries(page);
  await deliveries.open('deliveries');
  await page.locator('[data-panel="deliveries"] input:checked').focus();
  await page.keyboard.press('ArrowLeft');
  await expect(deliveries.items().first()).toHaveAttribute('data-status', 'Delivered');
});

test('a new page takes the focus, so that it is read out', async ({ page }) => {
  const app = new App(page);
  await app.open('dashboard');
  await app.go('orders');
  await expect(page.locator('main')).toBeFocused();
});

test.describe('who wants no motion', () => {
  test.use({ contextOptions: { reducedMotion: 'reduce' } });

  test('gets none', async ({ page }) => {
    const orders = new Orders(page);
    await orders.open('orders');
    const id = await orders.createOne();
    await expect(orders.row(id)).toBeVisible();
    expect(await orders.row(id).evaluate((row) => getComputedStyle(row).animationName)).toBe('none');
  });
});
