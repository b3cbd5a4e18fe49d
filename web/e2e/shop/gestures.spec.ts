/** What a person does on the pages, compared with the API of a real gateway. */
import { expect, test } from '@playwright/test';
import type { Delivery, Order, OrderLife, Page, Payment, Problem, Stats } from '../../src/lib/api/types';
import { App, Deliveries, Orders, Payments } from '../pages/app';
import { get, post } from './api';

const number = new Intl.NumberFormat('en-GB');

test.describe('orders', () => {
  test('older orders are on the gateway’s pages, none twice, and one button returns to the latest', async ({
    page,
    request,
  }) => {
    for (let i = 0; i < 101; i += 1) await post<Order>(request, '/api/orders');
    const orders = new Orders(page);
    await orders.open('orders');
    const shown = () => orders.rows().evaluateAll((rows) => rows.map((row) => (row as HTMLElement).dataset['id']));
    const title = page.locator('[data-panel="orders"] h2');
    const idsOf = (listed: Page<Order>) => listed.items.map((order) => order.order_id);

    let listed = await get<Page<Order>>(request, '/api/orders');
    const newest = idsOf(listed);
    await expect.poll(shown).toEqual(newest);
    const seen = [...newest];
    for (const turned of [2, 3]) {
      listed = await get<Page<Order>>(request, `/api/orders?cursor=${encodeURIComponent(listed.next_cursor ?? '')}`);
      await orders.older().click();
      await expect(title).toContainText(`page ${turned}`);
      await expect.poll(shown).toEqual(idsOf(listed));
      seen.push(...idsOf(listed));
    }
    expect(seen.length).toBeGreaterThan(100);
    expect(new Set(seen).size).toBe(seen.length);
    await page.getByRole('button', { name: 'Newer' }).click();
    await expect(title).toContainText('page 2');
    await expect.poll(shown).toEqual(seen.slice(50, 100));
    await page.getByRole('button', { name: 'Back to the latest' }).click();
    await expect.poll(shown).toEqual(newest);
  });

  test('an open order shows its history with the gateway’s offsets, and keeps it up to date', async ({
    page,
    request,
  }) => {
    const lines = [
      { product: 'Espresso', quantity: 2, unit_price: 1.5 },
      { product: 'Tarte aux pommes', quantity: 1, unit_price: 4.2 },
    ];
    const orders = new Orders(page);
    await orders.open('orders');
    const { order_id: id } = await post<Order>(request, '/api/orders', {
      lines,
      product: 'Espresso, tarte',
      customer_name: 'Ada',
      address: '1 rue de la Paix',
      status: 'Pending',
    });
    await post<Payment>(request, '/api/payments', { order_id: id, method: 'Cash', status: 'SUCCESS' });
    await post<Delivery>(request, '/api/deliveries', { order_id: id, status: 'In Transit' });
    await orders.row(id).getByRole('button').click();

    const known = async () => {
      let life!: OrderLife;
      await expect(async () => {
        life = await get<OrderLife>(request, `/api/orders/${id}`);
        const all = [life.order!, ...life.payments, ...life.deliveries];
        expect(all.map((one) => one.confirmed && one.partition !== undefined && one.offset !== undefined)).toEqual([
          true,
          true,
          true,
        ]);
      }).toPass({ timeout: 20_000 });
      return life;
    };
    const way = orders.life().locator('.way');
    const expectTheWay = async (order: Order) => {
      await expect(way.locator('li')).toContainText([
        'at the counter',
        `journal no. ${number.format(order.journal_offset!)}`,
        `partition ${order.partition}, offset ${number.format(order.offset!)}`,
      ]);
      await expect(way.locator('li.done')).toHaveCount(3);
      await expect(way.locator('.id')).toHaveText(order.ce_id);
    };
    const life = await known();
    await expectTheWay(life.order!);
    await expect(orders.life().getByTestId('order-lines').locator('li')).toContainText([
      /2\s×.*Espresso.*€1\.50/,
      /1\s×.*Tarte aux pommes.*€4\.20/,
      /€7\.20/,
    ]);
    const [payment, delivery] = [orders.life().locator('.events').first(), orders.life().locator('.events').last()];
    await expect(payment).toContainText('€7.20');
    await expect(payment).toContainText(
      `In Kafka, partition ${life.payments[0]!.partition}, offset ${life.payments[0]!.offset}`,
    );
    await expect(delivery).toContainText('1 rue de la Paix');
    await expect(delivery).toContainText(
      `In Kafka, partition ${life.deliveries[0]!.partition}, offset ${life.deliveries[0]!.offset}`,
    );

    await post<Order>(request, '/api/orders', { order_id: id, status: 'Completed' });
    await expect(orders.row(id)).toContainText('Completed');
    const later = await known();
    expect(later.order!.ce_id).not.toBe(life.order!.ce_id);
    await expectTheWay(later.order!);
  });

  test('auto-generate has a red Stop button, runs on other pages, and ends with its tab', async ({
    context,
    request,
  }) => {
    const open = async () => {
      const orders = new Orders(await context.newPage());
      const made: string[] = [];
      orders.page.on('response', async (answer) => {
        if (answer.url().endsWith('/api/orders') && answer.request().method() === 'POST')
          made.push(((await answer.json()) as Order).order_id);
      });
      await orders.open('orders');
      await orders.auto().click();
      await expect(orders.auto()).toHaveText('Stop');
      await expect(orders.auto()).toHaveCSS('background-color', 'rgb(172, 33, 26)');
      return {
        orders,
        made,
        beats: (count: number) => expect.poll(() => made.length, { timeout: 30_000 }).toBeGreaterThanOrEqual(count),
      };
    };
    const [one, other] = [await open(), await open()];
    await one.orders.go('payments');
    await other.orders.go('gateway');
    await Promise.all([one.beats(one.made.length + 2), other.beats(other.made.length + 2)]);

    await one.orders.page.close();
    // The other tab serves as the clock: once its next order is stored, the closed tab's last order is, too. After
    // that, only the open tab may create orders.
    const from = other.made.length;
    await other.beats(from + 4);
    const mine = other.made.slice(from, from + 4).reverse();
    const ids = (await get<Page<Order>>(request, '/api/orders')).items.map((order) => order.order_id);
    expect(ids.slice(ids.indexOf(mine[0]!), ids.indexOf(mine[3]!) + 1)).toEqual(mine);

    await other.orders.go('orders');
    await expect(other.orders.auto()).toHaveText('Stop');
    await other.orders.auto().click();
    await expect(other.orders.auto()).toHaveText('Auto-generate');
    await expect(other.orders.auto()).not.toHaveCSS('background-color', 'rgb(172, 33, 26)');
  });
});

test.describe('payments', () => {
  test('the page shows which field the gateway rejects, and nothing is stored until it is corrected', async ({
    page,
    request,
  }) => {
    const order = await post<Order>(request, '/api/orders');
    const payments = new Payments(page);
    await payments.open('payments');
    const total = async () => (await get<Stats>(request, '/api/stats')).total_payments;
    const before = await total();
    // The gateway accepts at most 128 bytes.
    await payments.fill('o-'.repeat(65), '12.50');
    const answered = page.waitForResponse((answer) => answer.url().endsWith('/api/payments'));
    await payments.send().click();
    const answer = await answered;
    expect([answer.status(), answer.headers()['content-type']]).toEqual([422, 'application/problem+json']);
    const problem = (await answer.json()) as Problem;
    expect(problem.field).toBe('order_id');
    await expect(payments.field('order_id')).toHaveAttribute('aria-invalid', 'true');
    await expect(payments.field('amount')).toHaveAttribute('aria-invalid', 'false');
    await expect(page.locator('#wrong-order')).toHaveText('No order has this number');
    await page.locator('form summary').click();
    await expect(page.locator('form details [lang=en]')).toHaveText(problem.detail);
    await expect(page.locator('form details [lang=en]')).toBeVisible();
    expect(await total()).toBe(before);

    await payments.field('order_id').fill(order.order_id);
    // Choosing the order fills in its amount; the test then changes it.
    await payments.field('order_id').press('Tab');
    await expect(payments.field('amount')).toHaveValue(order.amount.toFixed(2));
    await payments.field('amount').fill('12.50');
    const sent = page.waitForRequest((request) => request.url().endsWith('/api/payments'));
    await payments.send().click();
    // This gateway makes up what is missing: whether the payment succeeds is its decision.
    expect((await sent).postDataJSON()).not.toHaveProperty('status');
    await expect(payments.result()).toContainText('€12.50');
    await expect(page.locator('#wrong-order')).toHaveCount(0);
    expect(await total()).toBe(before + 1);
  });

  test('a payment plays rising notes if it succeeded, falling ones if not, and none before the first click or with sound off', async ({
    page,
    request,
  }) => {
    type Heard = { contexts: AudioContext[]; notes: number[]; last: number };
    await page.addInitScript(() => {
      const heard: Heard = { contexts: [], notes: [], last: 0 };
      Object.assign(window, { heard });
      const Real = window.AudioContext;
      window.AudioContext = class extends Real {
        constructor() {
          super();
          heard.contexts.push(this);
        }
      };
      const start = OscillatorNode.prototype.start;
      OscillatorNode.prototype.start = function (when) {
        heard.notes.push(this.frequency.value);
        heard.last = Date.now();
        start.call(this, when);
      };
    });
    const heard = () =>
      page.evaluate(() => {
        const { contexts, notes } = (window as unknown as { heard: Heard }).heard;
        return { contexts: contexts.length, notes };
      });
    const payments = new Payments(page);
    const pay = async (status: Payment['status']) => {
      const { payment_id: id } = await post<Payment>(request, '/api/payments', {
        order_id: 'o-heard',
        amount: 3,
        status,
      });
      await expect(payments.row(id)).toBeVisible();
    };
    // Sounds are rate-limited: waits until the next one can play.
    const quiet = () =>
      page.waitForFunction(() => Date.now() - (window as unknown as { heard: Heard }).heard.last > 300);

    await payments.open('payments');
    await pay('SUCCESS');
    expect(await heard()).toEqual({ contexts: 0, notes: [] });
    await page.locator('h1').click();
    await page.waitForFunction(() => (window as unknown as { heard: Heard }).heard.contexts[0]?.state === 'running');
    await pay('SUCCESS');
    await expect.poll(heard).toEqual({ contexts: 1, notes: [660, 880] });
    await quiet();
    await pay('FAILED');
    await expect.poll(heard).toEqual({ contexts: 1, notes: [660, 880, 330, 247] });

    await payments.sound().click();
    await expect(payments.sound()).toHaveText('Sound off');
    await quiet();
    await pay('SUCCESS');
    expect((await heard()).notes).toHaveLength(4);
    await payments.open('payments');
    await expect(payments.sound()).toHaveText('Sound off');
    await page.locator('h1').click();
    await pay('SUCCESS');
    expect(await heard()).toEqual({ contexts: 0, notes: [] });
    // Switching sound on plays it once.
    await payments.sound().click();
    await expect.poll(heard).toEqual({ contexts: 1, notes: [660, 880] });
  });
});

test('deliveries show their progress, are filtered without a request, and move on live', async ({ page, request }) => {
  const deliveries = new Deliveries(page);
  await deliveries.open('deliveries');
  const stages = [
    ['Pending', '10%', /Expected .*17 Mar/],
    ['In Transit', '50%', /Expected .*17 Mar/],
    ['Delivered', '100%', /Was due .*17 Mar/],
  ] as const;
  const ids: string[] = [];
  for (const [status] of stages) {
    const made = await post<Delivery>(request, '/api/deliveries', {
      order_id: 'o-far',
      status,
      address: `${ids.length + 1} quai de la Loire`,
      estimated_date: '2031-03-17',
    });
    ids.push(made.delivery_id);
  }
  for (const id of ids) await expect(deliveries.item(id)).toBeVisible();
  const statuses = () =>
    deliveries.items().evaluateAll((all) => [...new Set(all.map((item) => (item as HTMLElement).dataset['status']))]);
  const icons = new Set<string>();

  const requests: string[] = [];
  page.on('request', (sent) => requests.push(`${sent.method()} ${new URL(sent.url()).pathname}`));
  for (const [index, [status, share, date]] of stages.entries()) {
    await deliveries.filter(status);
    await expect.poll(statuses).toEqual([status]);
    const item = deliveries.item(ids[index]!);
    await expect(item).toContainText(`${index + 1} quai de la Loire`);
    await expect(item).toContainText(date);
    await expect(item.getByRole('progressbar')).toHaveAttribute('aria-valuenow', share.replace('%', ''));
    await expect(item.locator('.share')).toHaveText(share);
    const [track, done] = await Promise.all(
      ['.track', '.done'].map(async (part) => (await item.locator(part).boundingBox())!.width),
    );
    expect(done! / track!).toBeCloseTo(parseInt(share) / 100, 2);
    icons.add(await item.locator('.node').innerHTML());
  }
  expect(icons.size).toBe(3);
  await deliveries.filter('All');
  await expect.poll(async () => (await statuses()).length).toBe(3);
  // The filter is in the URL, and Chromium requests the icon again for each URL.
  expect(requests.filter((request) => request !== 'GET /favicon.svg')).toEqual([]);

  // A delivery whose status changes moves to the other filter.
  await deliveries.filter('Pending');
  await post<Delivery>(request, '/api/deliveries', { delivery_id: ids[0]!, order_id: 'o-far', status: 'Delivered' });
  await expect(deliveries.item(ids[0]!)).toHaveCount(0);
  await deliveries.filter('Delivered');
  await expect(deliveries.item(ids[0]!).getByRole('progressbar')).toHaveAttribute('aria-valuenow', '100');
  // A positive control: the listener does record requests.
  await page.getByTestId('create').click();
  await expect.poll(() => requests).toContain('POST /api/deliveries');
});

test('the language follows the browser until the reader chooses one, and is kept', async ({ page, request }) => {
  const app = new App(page);
  await app.open('orders');
  const { order_id: id } = await post<Order>(request, '/api/orders', {
    amount: 1234.5,
    product: 'Buffet',
    status: 'Cancelled',
  });
  const row = new Orders(page).row(id);
  await expect(page.locator('h1')).toHaveText('Orders');
  await expect(row).toContainText('€1,234.50');
  await expect(row).toContainText('Cancelled');
  await app.speak('fr');
  const expectFrench = async () => {
    await expect(page.locator('html')).toHaveAttribute('lang', 'fr');
    await expect(page.locator('h1')).toHaveText('Commandes');
    await expect(row).toContainText(/1\s234,50\s€/);
    await expect(row).toContainText('Annulée');
    await expect(app.bar).toContainText('Les ventes sont envoyées au fur et à mesure');
  };
  await expectFrench();
  await page.reload();
  await expectFrench();
  await app.speak('en');
  await expect(page.locator('h1')).toHaveText('Orders');
});
