/** The pages while parts of the shop fail: they show every sale exactly once, and its true state. */
import { expect, test, type BrowserContext, type Page } from '@playwright/test';
import type { Order, Page as Listed, Stats } from '../../src/lib/api/types';
import { Gateway } from '../pages/app';
import { perform } from './control';
import { get } from './api';

const bar = (page: Page) => page.getByTestId('kafka-bar');
const row = (page: Page, id: string) => page.locator(`tr[data-id="${id}"]`);
const whereabouts = (page: Page, id: string) => row(page, id).locator('[data-state]:visible');

async function open(context: BrowserContext, path: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(path);
  await expect(bar(page)).not.toHaveAttribute('data-tone', 'quiet');
  return page;
}

async function create(page: Page): Promise<string> {
  const answered = page.waitForResponse(
    (answer) => answer.url().endsWith('/api/orders') && answer.request().method() === 'POST',
  );
  await page.getByTestId('create').click();
  const answer = await answered;
  expect(answer.status()).toBe(201);
  return ((await answer.json()) as Order).order_id;
}

/** The ids of a table's rows, from top to bottom. */
const shownIds = (page: Page) =>
  page.locator('tr[data-id]').evaluateAll((rows) => rows.map((row) => (row as HTMLElement).dataset['id'] ?? ''));

async function expectPagesToMatchTheApi(orders: Page, dashboard: Page) {
  await expect(async () => {
    const { items } = await get<Listed<Order>>(orders.request, '/api/orders');
    const ids = await shownIds(orders);
    expect(ids).toEqual(items.map((order) => order.order_id));
    expect(new Set(ids).size).toBe(ids.length);
    const stats = await get<Stats>(dashboard.request, '/api/stats');
    const cards = await dashboard.locator('[data-value]').allInnerTexts();
    const number = new Intl.NumberFormat('en-GB');
    const money = new Intl.NumberFormat('en-GB', { style: 'currency', currency: stats.currency });
    expect(cards.map((card) => card.trim())).toEqual([
      number.format(stats.total_orders),
      number.format(stats.success_payments),
      number.format(stats.total_deliveries),
      money.format(stats.total_revenue),
    ]);
  }).toPass({ timeout: 60_000 });
}

test('three tabs show a new sale at once, with its state', async ({ context }) => {
  const [dashboard, orders, payments] = await Promise.all(
    ['/', '/orders', '/payments'].map((path) => open(context, path)),
  );
  const id = await create(orders!);
  await Promise.all([expect(row(dashboard!, id)).toBeVisible(), expect(row(orders!, id)).toBeVisible()]);
  await expect(whereabouts(orders!, id)).toHaveAttribute('data-state', 'kafka');

  await payments!.locator('[name=order_id]').fill(id);
  // The order fills in its amount; this customer pays only a part of it.
  await payments!.locator('[name=order_id]').press('Tab');
  await expect(payments!.locator('[name=amount]')).not.toHaveValue('');
  await payments!.locator('[name=method]').selectOption('Cash');
  await payments!.locator('[name=amount]').fill('12.50');
  await payments!.locator('form').getByRole('button').click();
  await expect(payments!.getByTestId('payment-result')).toContainText('12.50');
  await expect(payments!.locator('tr[data-id]').first()).toContainText('€12.50');
  await expectPagesToMatchTheApi(orders!, dashboard!);

  await row(orders!, id).getByRole('button').click();
  const life = orders!.getByTestId('order-life');
  await expect(life).toContainText('12.50');
  await expect(life).toContainText(/partition \d, offset \d/);
});

test('the pages show where every sale is while Kafka is down and after it is back', async ({ context }) => {
  const orders = await open(context, '/orders');
  const dashboard = await open(context, '/dashboard');
  const gateway = new Gateway(await open(context, '/gateway'));
  const since = () => gateway.link('Kafka').locator('.state .muted').getAttribute('title');
  await expect(gateway.link('Kafka')).toHaveAttribute('data-state', 'up');
  const before = await since();
  await perform('kafka/stop');
  await expect(bar(orders)).toContainText('Offline');
  await expect(gateway.link('Kafka')).toHaveAttribute('data-state', 'down');
  expect(await since()).not.toBe(before);
  const id = await create(orders);
  await expect(whereabouts(orders, id)).toHaveAttribute('data-state', 'local');
  await expect(bar(orders)).toContainText(/Offline: \d+ events? (is|are) safe here/);
  await expect(gateway.journal().first()).toHaveText('1');
  await perform('kafka/start');
  await expect(bar(orders)).toContainText('Sales are sent as they happen', { timeout: 60_000 });
  await expect(whereabouts(orders, id)).toHaveAttribute('data-state', 'kafka');
  await expect(gateway.link('Kafka')).toHaveAttribute('data-state', 'up');
  await expect(gateway.journal().first()).toHaveText('0');
  await expectPagesToMatchTheApi(orders, dashboard);
});

test('the pages recover when the gateway is killed under load, and show nothing twice', async ({ context }) => {
  const orders = await open(context, '/orders');
  const dashboard = await open(context, '/dashboard');
  const sold = async () => (await get<Stats>(orders.request, '/api/stats')).total_orders;
  const before = await sold();
  await perform('load/start');
  await expect.poll(sold).toBeGreaterThan(before + 50);
  await perform('gateway/kill');
  await expect(bar(orders)).toContainText('no connection to the gateway since');
  await perform('gateway/start');
  await expect(bar(orders)).not.toHaveAttribute('data-tone', 'bad', { timeout: 60_000 });
  await perform('load/finish');
  await expectPagesToMatchTheApi(orders, dashboard);
});

/** The text of every row, with the location of its event. */
const rowTexts = (page: Page) =>
  page
    .locator('tr[data-id]')
    .evaluateAll((rows) =>
      rows.map(
        (row) => `${(row as HTMLElement).innerText} ${row.querySelector('[data-state]')?.getAttribute('data-state')}`,
      ),
    );

test('a page that was disconnected for a minute under load shows the same rows as one that was not', async ({
  browser,
}) => {
  test.slow();
  const [stableContext, cutContext] = await Promise.all([
    browser.newContext(),
    browser.newContext({ baseURL: process.env.COMPTOIR_CABLE }),
  ]);
  const [stable, cut] = [await open(stableContext, '/orders'), await open(cutContext, '/orders')];
  await perform('link/cut');
  await expect(bar(cut)).toContainText('no connection to the gateway since');
  await perform('load/minute');
  await perform('load/finish');
  const before = await rowTexts(cut);
  await perform('link/join');
  await expect(async () => {
    const [one, other] = [await rowTexts(stable), await rowTexts(cut)];
    expect(other).toEqual(one);
    expect(other).not.toEqual(before);
  }).toPass({ timeout: 60_000 });
  await expectPagesToMatchTheApi(cut, await open(cutContext, '/dashboard'));
  await Promise.all([stableContext.close(), cutContext.close()]);
});

test('a page notices a silent connection long before it is closed, and recovers', async ({ browser }) => {
  const [stableContext, cutContext] = await Promise.all([
    browser.newContext(),
    browser.newContext({ baseURL: process.env.COMPTOIR_CABLE }),
  ]);
  const [stable, cut] = [await open(stableContext, '/orders'), await open(cutContext, '/orders')];
  await perform('link/silence');
  // Engine.IO alone would notice only after 45 seconds.
  await expect(bar(cut)).toContainText('no connection to the gateway since', { timeout: 30_000 });
  const id = await create(stable);
  await expect(row(stable, id)).toBeVisible();
  await perform('link/join');
  await expect(row(cut, id)).toBeVisible();
  await expect(bar(cut)).not.toHaveAttribute('data-tone', 'bad');
  await Promise.all([stableContext.close(), cutContext.close()]);
});
