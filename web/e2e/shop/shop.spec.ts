/** What a person sees while things go wrong: never a sale too many, never one too few, never a wrong word. */
import { expect, test, type BrowserContext, type Page } from '@playwright/test';
import type { Order, Page as Listed, Stats } from '../../src/lib/api/types';
import { Gateway } from '../pages/app';
import { accident } from './accident';
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
  const answered = page.waitForResponse((answer) => answer.url().endsWith('/api/orders') && answer.request().method() === 'POST');
  await page.getByTestId('create').click();
  const answer = await answered;
  expect(answer.status()).toBe(201);
  return ((await answer.json()) as Order).order_id;
}

/** The ids in a table, from top to bottom. */
const shown = (page: Page) => page.locator('tr[data-id]').evaluateAll((rows) => rows.map((row) => (row as HTMLElement).dataset['id'] ?? ''));

async function expectTheTruth(orders: Page, dashboard: Page) {
  await expect(async () => {
    const { items } = await get<Listed<Order>>(orders.request, '/api/orders');
    const ids = await shown(orders);
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

test('three tabs see the same sale at the same time, and it wears its state', async ({ context }) => {
  const [dashboard, orders, payments] = await Promise.all(['/', '/orders', '/payments'].map((path) => open(context, path)));
  const id = await create(orders!);
  await Promise.all([expect(row(dashboard!, id)).toBeVisible(), expect(row(orders!, id)).toBeVisible()]);
  await expect(whereabouts(orders!, id)).toHaveAttribute('data-state', 'kafka');

  await payments!.locator('[name=order_id]').fill(id);
  // A known order brings its amount, which this customer does not pay in full.
  await payments!.locator('[name=order_id]').press('Tab');
  await expect(payments!.locator('[name=amount]')).not.toHaveValue('');
  await payments!.locator('[name=method]').selectOption('Cash');
  await payments!.locator('[name=amount]').fill('12.50');
  await payments!.locator('form').getByRole('button').click();
  await expect(payments!.getByTestId('payment-result')).toContainText('12.50');
  await expect(payments!.locator('tr[data-id]').first()).toContainText('€12.50');
  await expectTheTruth(orders!, dashboard!);

  await row(orders!, id).getByRole('button').click();
  const life = orders!.getByTestId('order-life');
  await expect(life).toContainText('12.50');
  await expect(life).toContainText(/partition \d, offset \d/);
});

test('Kafka goes and comes back: the page says where every sale is', async ({ context }) => {
  const orders = await open(context, '/orders');
  const dashboard = await open(context, '/dashboard');
  const gateway = new Gateway(await open(context, '/gateway'));
  const since = () => gateway.link('Kafka').locator('.state .muted').getAttribute('title');
  await expect(gateway.link('Kafka')).toHaveAttribute('data-state', 'up');
  const before = await since();
  await accident('kafka/stop');
  await expect(bar(orders)).toContainText('Offline');
  await expect(gateway.link('Kafka')).toHaveAttribute('data-state', 'down');
  expect(await since()).not.toBe(before);
  const id = await create(orders);
  await expect(whereabouts(orders, id)).toHaveAttribute('data-state', 'local');
  await expect(bar(orders)).toContainText(/Offline: \d+ events? (is|are) safe here/);
  await expect(gateway.journal().first()).toHaveText('1');
  await accident('kafka/start');
  await expect(bar(orders)).toContainText('each event goes straight in', { timeout: 60_000 });
  await expect(whereabouts(orders, id)).toHaveAttribute('data-state', 'kafka');
  await expect(gateway.link('Kafka')).toHaveAttribute('data-state', 'up');
  await expect(gateway.journal().first()).toHaveText('0');
  await expectTheTruth(orders, dashboard);
});

test('the gateway is killed while the tills sell: the pages recover, and nothing is there twice', async ({ context }) => {
  const orders = await open(context, '/orders');
  const dashboard = await open(context, '/dashboard');
  const sold = async () => (await get<Stats>(orders.request, '/api/stats')).total_orders;
  const before = await sold();
  await accident('load/start');
  await expect.poll(sold).toBeGreaterThan(before + 50);
  await accident('gateway/kill');
  await expect(bar(orders)).toContainText('The gateway is not reached');
  await accident('gateway/start');
  await expect(bar(orders)).not.toHaveAttribute('data-tone', 'bad', { timeout: 60_000 });
  await accident('load/finish');
  await expectTheTruth(orders, dashboard);
});

/** Everything a row says, and where its sale is. */
const told = (page: Page) =>
  page.locator('tr[data-id]').evaluateAll((rows) => rows.map((row) => `${(row as HTMLElement).innerText} ${row.querySelector('[data-state]')?.getAttribute('data-state')}`));

test('who was cut off for a minute under load shows, once back, what one that stayed shows', async ({ browser }) => {
  test.slow();
  const [there, away] = await Promise.all([browser.newContext(), browser.newContext({ baseURL: process.env.COMPTOIR_CABLE })]);
  const [stayed, left] = [await open(there, '/orders'), await open(away, '/orders')];
  await accident('link/cut');
  await expect(bar(left)).toContainText('The gateway is not reached');
  await accident('load/minute');
  await accident('load/finish');
  const before = await told(left);
  await accident('link/join');
  await expect(async () => {
    const [one, other] = [await told(stayed), await told(left)];
    expect(other).toEqual(one);
    expect(other).not.toEqual(before);
  }).toPass({ timeout: 60_000 });
  await expectTheTruth(left, await open(away, '/dashboard'));
  await Promise.all([there.close(), away.close()]);
});

test('a link that dies without a word is seen to be dead long before it is closed, and heals', async ({ browser }) => {
  const [there, away] = await Promise.all([browser.newContext(), browser.newContext({ baseURL: process.env.COMPTOIR_CABLE })]);
  const [stayed, left] = [await open(there, '/orders'), await open(away, '/orders')];
  await accident('link/silence');
  // Engine.IO by itself would say so after 45 seconds.
  await expect(bar(left)).toContainText('The gateway is not reached', { timeout: 30_000 });
  const id = await create(stayed);
  await expect(row(stayed, id)).toBeVisible();
  await accident('link/join');
  await expect(row(left, id)).toBeVisible();
  await expect(bar(left)).not.toHaveAttribute('data-tone', 'bad');
  await Promise.all([there.close(), away.close()]);
});
