/** Accessibility: axe finds no violation on any page, and everything works with the keyboard. */
import { findViolations } from '../pages/axe';
import { App, Deliveries, ExportDialog, Gateway, Orders, PAGES, Payments } from '../pages/app';
import { expect, LOOKS, SIMULATOR_ONLY, test } from './fixtures';

// Simulator only: the violations would be the same on the real gateway, and axe is slow.
for (const [language, colorScheme] of LOOKS) {
  test.describe(`in ${language}, ${colorScheme}`, SIMULATOR_ONLY, () => {
    test.use({ colorScheme, locale: language === 'fr' ? 'fr-FR' : 'en-GB' });

    test('axe finds no violation on any page', async ({ page }) => {
      const app = new App(page);
      for (const name of PAGES) {
        await app.open(name);
        await expect(page.locator('html')).toHaveAttribute('lang', language);
        expect(await findViolations(app), name).toEqual([]);
      }
    });

    test('axe finds no violation with an open row, without Kafka, with settings problems, or in an empty shop', async ({
      page,
      simulate,
      request,
    }) => {
      const orders = new Orders(page);
      await orders.open('orders');
      await orders.rows().first().getByRole('button').click();
      await expect(orders.life()).toBeVisible();
      expect(await findViolations(orders), 'open').toEqual([]);
      await request.post('/api/demo/kafka', { data: { up: false } });
      await orders.createOne();
      await expect(orders.bar).toHaveAttribute('data-tone', 'wait');
      expect(await findViolations(orders), 'offline').toEqual([]);
      const problem = { place: '/etc/comptoir/gateway.toml', key: 'journal.max_bytes', message: '10 is too small' };
      await simulate({ settingsProblems: [problem] });
      const gateway = new Gateway(page);
      await gateway.open('gateway');
      await expect(gateway.settings()).toBeVisible();
      expect(await findViolations(gateway), 'settings').toEqual([]);
      await simulate({ empty: true });
      await orders.open('dashboard');
      expect(await findViolations(orders), 'empty').toEqual([]);
    });
  });
}

test.describe('on a phone', SIMULATOR_ONLY, () => {
  test.use({ viewport: { width: 390, height: 844 } });

  test('axe finds no violation, and no page is wider than the screen', async ({ page }) => {
    const app = new App(page);
    for (const name of PAGES) {
      await app.open(name);
      expect(await findViolations(app), name).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth), name).toBeLessThanOrEqual(390);
    }
  });
});

test('an order is opened and a payment made with the keyboard alone', SIMULATOR_ONLY, async ({ page }) => {
  const orders = new Orders(page);
  await orders.open('orders');
  await page.keyboard.press('Tab');
  await expect(page.locator('.skip')).toBeFocused();
  await orders.create().focus();
  await page.keyboard.press('Tab');
  await expect(page.getByRole('searchbox')).toBeFocused();
  await page.keyboard.press('Tab');
  await expect(new ExportDialog(page).opener).toBeFocused();
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

test('arrow keys change the filter of deliveries', SIMULATOR_ONLY, async ({ page }) => {
  const deliveries = new Deliveries(page);
  await deliveries.open('deliveries');
  await page.locator('[data-panel="deliveries"] input:checked').focus();
  await page.keyboard.press('ArrowLeft');
  await expect(deliveries.items().first()).toHaveAttribute('data-status', 'Delivered');
});

test('a new page takes the focus, so that a screen reader reads it', SIMULATOR_ONLY, async ({ page }) => {
  const app = new App(page);
  await app.open('dashboard');
  await app.go('orders');
  await expect(page.locator('main')).toBeFocused();
});

test.describe('with reduced motion', SIMULATOR_ONLY, () => {
  test.use({ contextOptions: { reducedMotion: 'reduce' } });

  test('a new row has no animation', async ({ page }) => {
    const orders = new Orders(page);
    await orders.open('orders');
    const id = await orders.createOne();
    await expect(orders.row(id)).toBeVisible();
    expect(await orders.row(id).evaluate((row) => getComputedStyle(row).animationName)).toBe('none');
  });
});
