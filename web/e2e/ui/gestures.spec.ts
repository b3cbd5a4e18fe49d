/** What a person does on the dashboard and with the lists of orders and deliveries. */
import type { APIRequestContext, Locator } from '@playwright/test';
import { PROBLEMS } from '../../src/lib/api/types';
import { Dashboard, Deliveries, Orders } from '../pages/app';
import { expect, getStats, SIMULATOR_ONLY, test } from './fixtures';

async function createOrders(request: APIRequestContext, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await request.post('/api/orders', { data: {} });
}

test(
  'each page has an address, / is the dashboard, and the browser’s back button works',
  SIMULATOR_ONLY,
  async ({ page }) => {
    const app = new Dashboard(page);
    await app.open('');
    await expect(app.card('orders')).toBeVisible();
    await app.go('deliveries');
    await app.go('gateway');
    await page.goBack();
    await expect(page).toHaveURL(/\/deliveries$/);
    await expect(page.locator('h1')).toHaveText('Livraisons');
  },
);

test('the dashboard shows the totals of /api/stats while sales arrive', async ({ page, request }) => {
  const dashboard = new Dashboard(page);
  await dashboard.open('dashboard');
  const withPlainSpaces = (text: string) => text.replace(/\s/g, ' ');
  const money = new Intl.NumberFormat('fr-FR', { style: 'currency', currency: 'EUR' });
  for (let round = 0; round < 3; round += 1) {
    await createOrders(request, 5);
    await request.post('/api/payments', { data: { order_id: 'o-1', amount: 12.5, status: 'SUCCESS' } });
    await expect(async () => {
      const { total_orders, total_revenue } = await getStats(request);
      const shown = await Promise.all([dashboard.card('orders').innerText(), dashboard.card('revenue').innerText()]);
      const expected = [new Intl.NumberFormat('fr-FR').format(total_orders), money.format(total_revenue)];
      expect(shown.map(withPlainSpaces)).toEqual(expected.map(withPlainSpaces));
    }).toPass({ timeout: 10_000 });
  }
  await expect(dashboard.rows()).toHaveCount(50);
});

test.describe('orders', () => {
  test('a new order arrives and is confirmed', async ({ page }) => {
    const orders = new Orders(page);
    await orders.open('orders');
    const id = await orders.createOne();
    await expect(orders.rows().first()).toHaveAttribute('data-id', id);
    await expect(orders.toasts).toContainText(id.slice(0, 10));
    await expect(orders.row(id).locator('[data-state]').last()).toHaveAttribute('data-state', 'kafka');
    await expect(orders.rows()).toHaveCount(50);
  });

  test('auto-generate keeps running on other pages and stops when told', SIMULATOR_ONLY, async ({ page }) => {
    const orders = new Orders(page);
    await orders.open('orders');
    await orders.auto().click();
    await expect(orders.auto()).toHaveText('Arrêter');
    await orders.go('payments');
    await page.waitForResponse((r) => r.url().endsWith('/api/orders') && r.request().method() === 'POST', {
      timeout: 5000,
    });
    await orders.go('orders');
    await orders.auto().click();
    await expect(orders.auto()).toHaveText('Créer en continu');
  });

  test('a row opens to the order’s history', async ({ page }) => {
    const orders = new Orders(page);
    await orders.open('orders');
    const id = await orders.createOne();
    await orders.row(id).click();
    await expect(orders.life()).toContainText('au comptoir');
    await expect(orders.life()).toContainText(/partition \d, position \d/);
  });

  test('older orders are on pages, and one button returns to the latest', async ({ page }) => {
    const orders = new Orders(page);
    await orders.open('orders');
    const first = (await orders.rows().first().getAttribute('data-id')) ?? '';
    for (const pageNumber of [2, 3]) {
      await orders.older().click();
      await expect(orders.title()).toContainText(`page ${pageNumber}`);
      await expect(orders.row(first)).toHaveCount(0);
    }
    await page.getByRole('button', { name: 'Revenir au début' }).click();
    await expect(orders.rows().first()).toHaveAttribute('data-id', first);
  });

  test('the page of older orders is in the address: it outlasts a reload, and the back button leaves it', async ({
    page,
  }) => {
    const orders = new Orders(page);
    await orders.open('orders');
    await expect(orders.rows()).toHaveCount(50);
    const [first] = await orders.shownIds();
    await orders.older().click();
    await expect(orders.title()).toContainText('page 2');
    const second = await orders.shownIds();
    await orders.older().click();
    await expect(orders.title()).toContainText('page 3');
    const third = await orders.shownIds();
    await page.reload();
    await expect(orders.title()).toContainText('page 3');
    await expect.poll(() => orders.shownIds()).toEqual(third);
    await orders.go('payments');
    await page.goBack();
    await expect.poll(() => orders.shownIds()).toEqual(third);
    await page.goBack();
    await expect(orders.title()).toContainText('page 2');
    await expect.poll(() => orders.shownIds()).toEqual(second);
    await page.getByRole('button', { name: 'Voir plus récent' }).click();
    await expect(orders.rows().first()).toHaveAttribute('data-id', first ?? '');
    await page.goBack();
    await expect.poll(() => orders.shownIds()).toEqual(second);
    await page.locator('nav a[href^="/orders"]').click();
    await expect(orders.rows().first()).toHaveAttribute('data-id', first ?? '');
  });

  test('an address with a page that no longer exists shows the latest orders', SIMULATOR_ONLY, async ({ page }) => {
    const type = 'urn:comptoir:problem:invalid-cursor';
    const problem = JSON.stringify({ type, ...PROBLEMS[type], detail: 'x' });
    await page.route('**/api/orders?**cursor**', (route) =>
      route.fulfill({ status: 422, contentType: 'application/problem+json', body: problem }),
    );
    const orders = new Orders(page);
    await page.goto('/orders?cursor=nonsense');
    await expect(orders.toasts).toContainText('Cette page de la liste n’existe plus');
    await expect(page).toHaveURL(/\/orders$/);
    await expect(orders.rows()).toHaveCount(50);
  });

  test('the rows of an older page change when Kafka confirms their events', async ({ page, request }) => {
    await request.post('/api/demo/kafka', { data: { up: false } });
    await createOrders(request, 55);
    const orders = new Orders(page);
    await orders.open('orders');
    await orders.older().click();
    await expect(orders.title()).toContainText('page 2');
    const id = (await orders.rows().nth(3).getAttribute('data-id')) ?? '';
    await expect(orders.row(id).locator('[data-state]')).toHaveAttribute('data-state', 'local');
    await request.post('/api/demo/kafka', { data: { up: true } });
    await expect(orders.row(id).locator('[data-state]')).toHaveAttribute('data-state', 'kafka');
    expect(await orders.rows().nth(3).getAttribute('data-id')).toBe(id);
  });
});

test.describe('a list that somebody reads', () => {
  const topOf = (row: Locator) => row.evaluate((element) => element.getBoundingClientRect().top);

  test('does not move while an order is open, until the reader asks for the new orders', async ({ page, request }) => {
    const orders = new Orders(page);
    await orders.open('orders');
    const id = (await orders.rows().nth(2).getAttribute('data-id')) ?? '';
    await orders.row(id).getByRole('button').click();
    await expect(orders.life()).toContainText('par ');
    const before = await topOf(orders.row(id));
    await createOrders(request, 3);
    await expect(orders.newRows()).toContainText('3 nouvelles');
    expect(await topOf(orders.row(id))).toBe(before);
    await createOrders(request, 52);
    await expect(orders.newRows()).toContainText('50 nouvelles');
    await expect(orders.life()).toBeVisible();
    // The list holds fifty orders. The last two of the 55 may arrive after the click, and then wait again.
    await expect(async () => {
      if ((await orders.newRows().count()) > 0) await orders.newRows().click();
      await expect(orders.newRows()).toHaveCount(0, { timeout: 500 });
    }).toPass();
    await expect(orders.rows()).toHaveCount(51);
    await expect(orders.life()).toBeVisible();
    await orders.row(id).getByRole('button').click();
    // The open order was the last row. Clicking it scrolled the page, which also pauses the list, as the mouse does.
    await page.mouse.move(0, 0);
    await page.evaluate(() => scrollTo(0, 0));
    await expect(orders.rows()).toHaveCount(50);
  });

  for (const name of ['orders', 'payments', 'deliveries', 'dashboard'] as const) {
    test(`does not move while it is scrolled: ${name}`, async ({ page, request }) => {
      const app = new Orders(page);
      await app.open(name);
      const rows = page.locator('main [data-id]');
      if (name === 'dashboard') await page.locator('.scroll').evaluate((list) => list.scrollTo(0, 300));
      else await page.evaluate(() => scrollTo(0, 300));
      const row = page.locator(`main [data-id="${await rows.nth(12).getAttribute('data-id')}"]`);
      const before = await topOf(row);
      for (const kind of ['orders', 'payments', 'deliveries']) await request.post(`/api/${kind}`, { data: {} });
      await expect(app.newRows()).toBeVisible();
      expect(await topOf(row)).toBe(before);
      await app.newRows().click();
      await expect(rows.first()).toBeInViewport();
      await expect(app.newRows()).toHaveCount(0);
    });
  }
});

test('deliveries are filtered without a request', async ({ page }) => {
  const deliveries = new Deliveries(page);
  await deliveries.open('deliveries');
  const requests: string[] = [];
  page.on('request', (request) => {
    if (request.url().includes('/api/')) requests.push(request.url());
  });
  for (const [status, percent] of [
    ['Pending', 10],
    ['In Transit', 50],
    ['Delivered', 100],
  ] as const) {
    await deliveries.filter(status);
    const items = deliveries.items();
    const statuses = await items.evaluateAll((all) => all.map((item) => (item as HTMLElement).dataset.status));
    expect([...new Set(statuses)]).toEqual([status]);
    await expect(items.first().getByRole('progressbar')).toHaveAttribute('aria-valuenow', String(percent));
  }
  await deliveries.filter('All');
  await expect(deliveries.items()).toHaveCount(50);
  expect(requests).toEqual([]);
});

test('the filter of deliveries is in the address', async ({ page }) => {
  const deliveries = new Deliveries(page);
  const chosen = page.locator('[data-panel="deliveries"] input:checked');
  await deliveries.open('deliveries');
  await deliveries.filter('In Transit');
  await page.reload();
  await expect(chosen).toHaveValue('In Transit');
  await expect(deliveries.items().first()).toHaveAttribute('data-status', 'In Transit');
  await deliveries.go('orders');
  await page.goBack();
  await expect(chosen).toHaveValue('In Transit');
  await deliveries.filter('All');
  await expect(page).toHaveURL(/\/deliveries$/);
});
