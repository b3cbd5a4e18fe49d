/** The page of one order: what it shows, and what a person does with an order there. */
import type { APIRequestContext, Page, Request } from '@playwright/test';
import type { Payment, ShopDay } from '../../src/lib/api/types';
import { findViolations } from '../pages/axe';
import { App, Orders, Payments } from '../pages/app';
import { CLOCK } from '../../playwright.config';
import { Identity } from '../pages/identity';
import { OrderPage } from '../pages/order';
import { expect, LOOKS, SIMULATOR_ONLY, test } from './fixtures';

// The ids of the gateway's own form, and what an id from outside may contain.
const ID = 'o-8f3a2c1b4d5e6f708192a3b4c5d6e7f8';
const CARD = 'p-1111222233334444aaaabbbbccccdddd';

const LINES = [
  { product: 'Cerises', quantity: 1.255, unit: 'kg', unit_price: 4, vat_rate: 5.5 },
  { product: 'Torchon en lin', quantity: 2, unit_price: 14.9, discount: 2.8, vat_rate: 20 },
  { product: 'Miel', quantity: 1, unit_price: 3, vat_rate: 5.5 },
];

async function post(request: APIRequestContext, path: string, data: object): Promise<void> {
  const answer = await request.post(`/api/${path}`, { data });
  expect(answer.status(), await answer.text()).toBe(201);
}

const createOrder = (request: APIRequestContext, more: object = {}) =>
  post(request, 'orders', {
    order_id: ID,
    customer_name: 'Camille Lefèvre',
    customer_email: 'camille@example.fr',
    address: '12 rue des Lilas, 93100 Montreuil',
    product: 'Cerises',
    status: 'Pending',
    amount: 35.02,
    lines: LINES,
    ...more,
  });

const createPayment = (request: APIRequestContext, payment_id: string, amount: number, more: object = {}) =>
  post(request, 'payments', { payment_id, order_id: ID, amount, method: 'Credit Card', status: 'SUCCESS', ...more });

/** All that is posted to one list while the test runs. */
function watchPosts(page: Page, list: string): Record<string, unknown>[] {
  const posts: Record<string, unknown>[] = [];
  page.on('request', (request: Request) => {
    if (request.method() !== 'POST' || !request.url().endsWith(`/api/${list}`)) return;
    posts.push(request.postDataJSON() as Record<string, unknown>);
  });
  return posts;
}

test('a part of a payment is paid back on the page, and the order, its list and the day say so', async ({
  page,
  request,
}) => {
  const id = `o-${crypto.randomUUID()}`;
  const paid = `p-${crypto.randomUUID()}`;
  await createOrder(request, { order_id: id, amount: 20 });
  await createPayment(request, paid, 20, { order_id: id });
  const takings = async () => ((await (await request.get('/api/days/today')).json()) as ShopDay).takings;
  const before = await takings();
  const order = new OrderPage(page);
  await order.openOrder(id);
  await order.refund(paid, 'part');
  await order.refundDialog.locator('[name=amount]').fill('7,50');
  await order.refundSend.click();
  await expect(order.sum('refunded')).toHaveText(/-7,50/);
  await expect(order.payment(paid)).toContainText(/Encore remboursable.*12,50/);
  const { payments } = (await (await request.get(`/api/orders/${id}`)).json()) as { payments: Payment[] };
  expect(payments[1]).toMatchObject({ refund_of: paid, amount: -7.5, method: 'Credit Card', status: 'SUCCESS' });
  const after = await takings();
  expect(after.refunds).toBe(before.refunds + 1);
  expect(Math.round((after.net - before.net) * 100)).toBe(-750);
});

test.describe('an order', SIMULATOR_ONLY, () => {
  // A shop: in the demo the gateway decides whether a card is declined.
  test.beforeEach(({ simulate }) => simulate({ demo: false }));

  test('shows its lines, sums, payments with their refunds, deliveries, and where each event is', async ({
    page,
    request,
  }) => {
    await createOrder(request);
    await createPayment(request, CARD, 20);
    await createPayment(request, 'p-2', 10, { status: 'FAILED' });
    await post(request, 'payments', { payment_id: 'r-1', refund_of: CARD, amount: -5.02 });
    await post(request, 'deliveries', { delivery_id: 'd-1', order_id: ID, address: '12 rue', status: 'Pending' });
    const order = new OrderPage(page);
    await order.openOrder(ID);
    await expect(order.number).toHaveText(ID);
    await expect(page).toHaveTitle(/^o-8f3a2c1b · Commandes/);
    const lines = order.panel('lines');
    await expect(lines).toContainText(/1,255\skg/);
    await expect(lines).toContainText(/4,00\s€\/kg/);
    await expect(lines).toContainText(/Remise -2,80\s€/);
    await expect(lines).toContainText(/5,5\s%/);
    await expect(lines.locator('tbody tr').nth(1)).toContainText(/27,00\s€/);
    await expect(order.sum('total')).toHaveText(/35,02/);
    await expect(order.sum('paid')).toHaveText(/20,00/);
    await expect(order.sum('refunded')).toHaveText(/-5,02/);
    await expect(order.sum('due')).toHaveText(/20,04/);
    await expect(order.payment(CARD).locator('.refunds')).toContainText(/Remboursement\s*-5,02/);
    await expect(order.payment(CARD)).toContainText(/Encore remboursable.*14,98/);
    await expect(order.payment('p-2')).toContainText('Échoué');
    await expect(order.payment('p-2').getByTestId('refund')).toHaveCount(0);
    await expect(order.delivery()).toHaveAttribute('data-status', 'Pending');
    await expect(order.root.locator('[data-state=kafka]')).toHaveCount(5);
    await expect(order.panel('order')).toContainText('camille@example.fr');
  });

  test('has a number that is copied whole', async ({ page, request, context }) => {
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await createOrder(request);
    const order = new OrderPage(page);
    await order.openOrder(ID);
    await page.getByTestId('copy-number').click();
    await expect(page.getByText('Numéro copié')).toBeVisible();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(ID);
  });

  test('is found from its row, its payments, its deliveries and the live activity', async ({ page, request }) => {
    const id = 'o/50 % €?#';
    await createOrder(request, { order_id: id });
    await createPayment(request, 'p-1', 5, { order_id: id });
    await post(request, 'deliveries', { delivery_id: 'd-1', order_id: id, address: '12 rue', status: 'Pending' });
    const order = new OrderPage(page);
    const orders = new Orders(page);
    await orders.open('orders');
    await orders.row(id).getByRole('button').click();
    await page.getByTestId('open-order').click();
    await expect(order.number).toHaveText(id);
    await expect(page.locator('main')).toBeFocused();
    await page.reload();
    await expect(order.number).toHaveText(id);
    await page.goBack();
    await expect(orders.rows().first()).toBeVisible();
    for (const [name, row] of [
      ['payments', '[data-panel=payments] tr[data-id="p-1"]'],
      ['deliveries', '[data-panel=deliveries] li[data-id="d-1"]'],
      ['dashboard', '[data-panel=activity] tr[data-id="p-1"]'],
    ] as const) {
      await order.open(name);
      await page.locator(row).getByRole('link').click();
      await expect(order.number).toHaveText(id);
    }
    await expect(page.locator('nav a[aria-current=page]')).toHaveText('Commandes');
    await page.getByRole('link', { name: 'Toutes les commandes' }).click();
    await expect(page).toHaveURL(/\/orders$/);
  });

  test('that is unknown is called so, with a way on', async ({ page }) => {
    const order = new OrderPage(page);
    await order.openOrder('o-nobody');
    await expect(order.unknown).toContainText('Aucune commande n’a ce numéro');
    expect(await findViolations(order)).toEqual([]);
    await order.unknown.getByRole('link').click();
    await expect(page).toHaveURL(/\/orders$/);
  });

  test('that has not arrived yet is shown with its payments', async ({ page, request }) => {
    await createPayment(request, CARD, 20, { order_id: 'o-late' });
    await page.goto('/orders/o-late');
    const order = new OrderPage(page);
    await expect(order.root).toContainText('n’est pas encore arrivée');
    await expect(order.payment(CARD)).toContainText(/20,00/);
  });

  test('follows what happens elsewhere', async ({ page, request }) => {
    await createOrder(request);
    const order = new OrderPage(page);
    await order.openOrder(ID);
    await createPayment(request, CARD, 20);
    await expect(order.sum('due')).toHaveText(/15,02/);
    await post(request, 'payments', { refund_of: CARD });
    await expect(order.sum('due')).toHaveText(/35,02/);
    await expect(order.payment(CARD)).toContainText('Entièrement remboursé');
    await post(request, 'orders', { order_id: ID, status: 'Processing' });
    await expect(order.status).toHaveAttribute('data-status', 'Processing');
    await post(request, 'deliveries', { order_id: ID, address: '12 rue', status: 'Pending' });
    await expect(order.delivery()).toHaveCount(1);
  });

  test('that cannot be read is explained, and read again', async ({ page, request }) => {
    await createOrder(request);
    let isBlocked = true;
    let reads = 0;
    await page.route('**/api/orders/**', (route) => {
      reads += 1;
      return isBlocked ? route.abort() : route.continue();
    });
    await page.goto(`/orders/${ID}`);
    await expect(page.getByText('La commande n’a pas pu être lue')).toBeVisible();
    const readsBefore = reads;
    const retry = page.getByRole('button', { name: 'Réessayer' });
    await retry.click();
    await expect.poll(() => reads).toBeGreaterThan(readsBefore);
    isBlocked = false;
    // The page may read it by itself before anybody clicks.
    await expect(async () => {
      if (await retry.isVisible()) await retry.click({ timeout: 1_000 });
      await expect(new OrderPage(page).status).toBeVisible({ timeout: 1_000 });
    }).toPass();
  });

  test('shows what other tills wanted to change', async ({ page, request }) => {
    await createOrder(request);
    const life = (await (await request.get(`/api/orders/${ID}`)).json()) as object;
    const change = { kind: 'order', id: ID, device: 'till-2', status: 'Cancelled', amount: 30, journal_offset: 7 };
    const corrections = [{ ...change, timestamp: '2026-03-16T15:00:00Z', applied: false }];
    await page.route('**/api/orders/**', (route) => route.fulfill({ json: { ...life, corrections } }));
    const order = new OrderPage(page);
    await order.openOrder(ID);
    await expect(page.getByTestId('changes')).toContainText(/Annulée.*30,00\s€.*non appliquée.*till-2/s);
  });
});

test.describe('a payment of an order', SIMULATOR_ONLY, () => {
  test.beforeEach(async ({ simulate, request }) => {
    await simulate({ demo: false, invent: false });
    await createOrder(request);
  });

  test('is prefilled with what is due, and completes the order once it is paid in full', async ({ page }) => {
    const order = new OrderPage(page);
    await order.openOrder(ID);
    const sent = watchPosts(page, 'payments');
    await expect(order.pay.locator('[name=amount]')).toHaveValue('35,02');
    await order.pay.locator('[name=method]').selectOption('Cash');
    await order.takePayment('20');
    await expect(order.payResult).toContainText(/Encaissé.*20,00.*Espèces.*Reste à payer.*15,02/);
    await expect(order.status).toHaveAttribute('data-status', 'Pending');
    await expect(order.pay.locator('[name=amount]')).toHaveValue('15,02');
    await order.pay.locator('button[type=submit]').click();
    await expect(order.payResult).toContainText('La commande est terminée');
    await expect(order.status).toHaveAttribute('data-status', 'Completed');
    await expect(order.sum('due')).toHaveText(/^0,00/);
    expect(sent.map(({ amount, method, status, order_id }) => [amount, method, status, order_id])).toEqual([
      [20, 'Cash', 'SUCCESS', ID],
      [15.02, 'Cash', 'SUCCESS', ID],
    ]);
  });

  test('whose order could not be completed says so, and completes it again', async ({ page }) => {
    const order = new OrderPage(page);
    await order.openOrder(ID);
    await page.route('**/api/orders', (route) => route.abort());
    await order.pay.locator('button[type=submit]').click();
    await expect(order.payResult).toContainText('n’a pas pu être marquée comme terminée');
    await expect(order.sum('paid')).toHaveText(/35,02/);
    await page.unroute('**/api/orders');
    await order.payResult.getByRole('button').click();
    await expect(order.status).toHaveAttribute('data-status', 'Completed');
    await expect(order.payResult).toContainText('La commande est terminée');
  });

  test('beyond what is due is taken only after a question', async ({ page, request }) => {
    await createPayment(request, CARD, 30);
    const order = new OrderPage(page);
    await order.openOrder(ID);
    const sent = watchPosts(page, 'payments');
    await order.takePayment('50');
    await expect(order.ask).toContainText(/50,00.*que 5,02/);
    await page.keyboard.press('Escape');
    await expect(order.ask).toHaveCount(0);
    expect(sent).toEqual([]);
    await order.takePayment('50');
    await order.confirm.click();
    await expect(order.payResult).toContainText(/Encaissé.*50,00/);
    await expect(order.panel('order')).toContainText(/44,98.*de trop/);
    expect(sent).toHaveLength(1);
    // Paid in full: a further payment asks, too.
    await page.getByText('Encaisser un autre paiement').click();
    await order.takePayment('1');
    await expect(order.ask).toContainText('entièrement payée');
  });

  test('that was typed wrongly is not sent', async ({ page }) => {
    const order = new OrderPage(page);
    await order.openOrder(ID);
    const sent = watchPosts(page, 'payments');
    await order.takePayment('1,234');
    await expect(order.pay.locator('[name=amount]')).toBeFocused();
    await expect(order.pay.locator('[name=amount]')).toHaveAttribute('aria-invalid', 'true');
    await expect(order.pay).toContainText(/par exemple 12,50/);
    expect(sent).toEqual([]);
  });

  test('without an answer is sent again with its id, also after a reload, and blocks another', async ({ page }) => {
    const order = new OrderPage(page);
    await order.openOrder(ID);
    const sent = watchPosts(page, 'payments');
    await page.route('**/api/payments', (route) => route.abort());
    await order.takePayment('5');
    await expect(order.unanswered).toContainText(/Impossible de savoir.*5,00/);
    await expect(order.pay).toHaveCount(0);
    await page.reload();
    await expect(order.unanswered).toBeVisible();
    await page.unroute('**/api/payments');
    await order.unanswered.getByRole('button', { name: 'Renvoyer' }).click();
    await expect(order.payResult).toContainText(/Encaissé.*5,00/);
    await expect(order.unanswered).toHaveCount(0);
    expect(sent[1]?.payment_id).toBe(sent[0]?.payment_id);
  });

  test('whose answer was lost is recognised when it arrives live', async ({ page, request }) => {
    const order = new OrderPage(page);
    await order.openOrder(ID);
    await page.route('**/api/payments', async (route) => {
      await request.post('/api/payments', { data: route.request().postDataJSON() as object });
      await route.abort();
    });
    await order.takePayment('5');
    await expect(order.toasts).toContainText('C’est enregistré');
    await expect(order.unanswered).toHaveCount(0);
    await expect(order.sum('paid')).toHaveText(/5,00/);
  });

  test('is sent once, however often the button is pressed', async ({ page }) => {
    const order = new OrderPage(page);
    await order.openOrder(ID);
    const sent = watchPosts(page, 'payments');
    let go: (() => void) | undefined;
    const gate = new Promise<void>((resolve) => (go = resolve));
    await page.route('**/api/payments', async (route) => {
      await gate;
      await route.continue();
    });
    await order.takePayment('5');
    await expect(order.pay.locator('button[type=submit]')).toBeDisabled();
    await order.pay.locator('[name=amount]').press('Enter');
    go?.();
    await expect(order.payResult).toContainText(/5,00/);
    expect(sent).toHaveLength(1);
  });
});

test.describe('a refund', SIMULATOR_ONLY, () => {
  test.beforeEach(async ({ simulate, request }) => {
    await simulate({ demo: false });
    await createOrder(request);
    await createPayment(request, CARD, 30);
  });

  test('of everything has the payment’s method, and leaves nothing to refund', async ({ page, request }) => {
    const before = ((await (await request.get('/api/stats')).json()) as { total_revenue: number }).total_revenue;
    const order = new OrderPage(page);
    await order.openOrder(ID);
    await order.refund(CARD, 'all');
    await expect(order.refundDialog.locator('[name=method]')).toHaveValue('Credit Card');
    await expect(order.refundSend).toHaveText(/Rembourser 30,00/);
    await order.refundSend.click();
    await expect(order.toasts).toContainText(/Remboursé.*30,00/);
    await expect(order.payment(CARD)).toContainText('Entièrement remboursé');
    await expect(order.payment(CARD).getByTestId('refund')).toHaveCount(0);
    await expect(order.sum('due')).toHaveText(/35,02/);
    const after = ((await (await request.get('/api/stats')).json()) as { total_revenue: number }).total_revenue;
    expect(Math.round((before - after) * 100)).toBe(3000);
  });

  test('opens its dialog again right after it was closed', async ({ page }) => {
    const order = new OrderPage(page);
    await order.openOrder(ID);
    await order.refund(CARD, 'all');
    // The browser sends its `close` event in a later task; the page is up to date before that.
    await order.refundDialog.evaluate(async (dialog: HTMLDialogElement) => {
      dialog.close();
      for (let step = 0; step < 20; step += 1) await Promise.resolve();
      (document.activeElement as HTMLElement).click();
    });
    await expect(order.refundDialog).toBeVisible();
  });

  test('of some lines comes to their share of the amount', async ({ page }) => {
    const order = new OrderPage(page);
    await order.openOrder(ID);
    const sent = watchPosts(page, 'payments');
    await order.refund(CARD, 'items');
    await order.refundSend.click();
    await expect(order.refundDialog).toContainText('Choisissez ce qui est rendu');
    await order.refundDialog.getByRole('checkbox', { name: /Torchon/ }).check();
    const quantity = order.refundDialog.getByRole('textbox', { name: /Torchon/ });
    await expect(quantity).toHaveValue('2');
    await quantity.fill('3');
    await expect(quantity).toHaveAttribute('aria-invalid', 'true');
    await quantity.fill('1');
    await order.refundDialog.getByRole('checkbox', { name: /Miel/ }).check();
    await expect(order.refundSend).toHaveText(/16,50/);
    await order.refundDialog.getByRole('checkbox', { name: /Cerises/ }).check();
    await order.refundDialog.getByRole('textbox', { name: /Cerises/ }).fill('0,5');
    await expect(order.refundSend).toHaveText(/18,50/);
    await order.refundDialog.locator('[name=method]').selectOption('Cash');
    await order.refundSend.click();
    await expect(order.payment(CARD)).toContainText(/-18,50.*Espèces/s);
    expect(sent).toEqual([expect.objectContaining({ refund_of: CARD, amount: -18.5, method: 'Cash', order_id: ID })]);
  });

  test('never exceeds what is left', async ({ page }) => {
    const order = new OrderPage(page);
    await order.openOrder(ID);
    const sent = watchPosts(page, 'payments');
    await order.refund(CARD, 'part');
    const amount = order.refundDialog.locator('[name=amount]');
    await amount.fill('30,01');
    await expect(order.refundDialog).toContainText(/30,00\s€ au plus/);
    await order.refundSend.click();
    await expect(amount).toBeFocused();
    expect(sent).toEqual([]);
    await amount.fill('12');
    await order.refundSend.click();
    await expect(order.payment(CARD)).toContainText(/Encore remboursable.*18,00/);
    // The lines come to more than is left.
    await order.refund(CARD, 'items');
    for (const box of await order.refundDialog.getByRole('checkbox').all()) await box.check();
    await expect(order.refundDialog).toContainText(/Il ne reste que 18,00/);
    await expect(order.refundSend).toHaveText(/18,00/);
  });

  test('chooses among several payments', async ({ page, request }) => {
    await createPayment(request, 'p-2', 5.02, { method: 'Cash' });
    const order = new OrderPage(page);
    await order.openOrder(ID);
    await order.refund('p-2', 'all');
    const choice = order.refundDialog.locator('[name=payment]');
    await expect(choice.locator('option')).toHaveCount(2);
    await expect(order.refundSend).toHaveText(/5,02/);
    await expect(order.refundDialog.locator('[name=method]')).toHaveValue('Cash');
    await choice.selectOption({ index: 0 });
    await expect(order.refundSend).toHaveText(/30,00/);
    await expect(order.refundDialog.locator('[name=method]')).toHaveValue('Credit Card');
  });

  test('that somebody else was faster with is refused with a reason', async ({ page, request }) => {
    const order = new OrderPage(page);
    await order.openOrder(ID);
    await page.route('**/api/payments', async (route) => {
      await request.post('/api/payments', { data: { refund_of: CARD, amount: -29 } });
      await route.continue();
    });
    await order.refund(CARD, 'all');
    await order.refundSend.click();
    await expect(order.refundDialog.getByRole('alert')).toContainText('Il ne reste plus autant');
    await expect(order.refundSend).toHaveText(/1,00/);
  });

  test('without an answer is sent again with its id', async ({ page }) => {
    const order = new OrderPage(page);
    await order.openOrder(ID);
    const sent = watchPosts(page, 'payments');
    await page.route('**/api/payments', (route) => route.abort());
    await order.refund(CARD, 'all');
    await order.refundSend.click();
    await expect(order.refundDialog).toHaveCount(0);
    await expect(order.unanswered).toContainText(/remboursement de 30,00/);
    await expect(page.getByTestId('refund')).toHaveCount(0);
    await page.unroute('**/api/payments');
    await order.unanswered.getByRole('button', { name: 'Renvoyer' }).click();
    await expect(order.payResult).toContainText(/Remboursé.*30,00/);
    expect(sent[1]?.payment_id).toBe(sent[0]?.payment_id);
  });

  test('is marked in the list of payments, the live activity and the order’s history', async ({ page, request }) => {
    await post(request, 'payments', { payment_id: 'r-1', refund_of: CARD, amount: -5.5 });
    const payments = new Payments(page);
    await payments.open('payments');
    await expect(payments.row('r-1')).toContainText(/-5,50\s€/);
    await expect(payments.row('r-1').getByTestId('refund-mark')).toHaveText('Remboursement de p-11112222');
    await payments.open('dashboard');
    const row = page.locator('[data-panel=activity] tr[data-id="r-1"]');
    await expect(row.getByTestId('refund-mark')).toHaveText('Remboursement de p-11112222');
    const orders = new Orders(page);
    await orders.open('orders');
    await orders.row(ID).getByRole('button').click();
    await expect(orders.life().getByTestId('refund-mark')).toHaveText('Remboursement de p-11112222');
    await expect(orders.life()).toContainText(/-5,50\s€/);
    const file = await request.get('/api/payments', { headers: { accept: 'text/csv' } });
    expect((await file.text()).split('\r\n')[1]).toContain(`-5.5,EUR,${CARD}`);
  });
});

test.describe('an order’s status', SIMULATOR_ONLY, () => {
  test.beforeEach(({ request }) => createOrder(request, { status: 'Processing' }));

  test('is cancelled after a question, and the cancellation undone', async ({ page }) => {
    const order = new OrderPage(page);
    await order.openOrder(ID);
    const sent = watchPosts(page, 'orders');
    await order.cancel.click();
    await page.keyboard.press('Escape');
    await expect(order.ask).toHaveCount(0);
    expect(sent).toEqual([]);
    await order.cancel.click();
    await expect(order.ask).toContainText('Rien n’a été payé');
    await order.confirm.click();
    await expect(order.status).toHaveAttribute('data-status', 'Cancelled');
    await expect(order.announcement).toContainText('Commande annulée');
    await expect(order.cancel).toHaveCount(0);
    await expect(order.panel('order')).toContainText('La commande est annulée');
    await expect(order.panel('pay')).toContainText('On n’encaisse rien');
    await expect(order.openDelivery).toHaveCount(0);
    await order.undoButton.click();
    await expect(order.status).toHaveAttribute('data-status', 'Processing');
    await expect(order.undo).toHaveCount(0);
    await expect(order.announcement).toContainText('En cours');
    expect(sent.map(({ status }) => status)).toEqual(['Cancelled', 'Processing']);
  });

  test('says before a cancellation that what was paid stays paid', async ({ page, request }) => {
    await createPayment(request, CARD, 20);
    const order = new OrderPage(page);
    await order.openOrder(ID);
    await order.cancel.click();
    await expect(order.ask).toContainText(/20,00\s€ ont été payés.*ne les rembourse pas/);
  });

  test('is completed at once if nothing is due, after a question otherwise', async ({ page, request }) => {
    const order = new OrderPage(page);
    await order.openOrder(ID);
    await order.complete.click();
    await expect(order.ask).toContainText(/Il reste 35,02/);
    await page.keyboard.press('Escape');
    await createPayment(request, CARD, 35.02);
    await expect(order.sum('due')).toHaveText(/^0,00/);
    await order.complete.click();
    await expect(order.status).toHaveAttribute('data-status', 'Completed');
    await expect(order.panel('order')).toContainText('ne peut plus être annulée');
    await expect(order.undo).toContainText('Commande terminée');
  });

  test('can be undone for five seconds, and longer while the button has the focus', async ({ page }) => {
    await page.clock.install({ time: CLOCK });
    const order = new OrderPage(page);
    await order.openOrder(ID);
    await order.cancel.focus();
    await page.keyboard.press('Enter');
    await expect(order.ask).toBeVisible();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    // The button that was pressed is gone; the next stop is the one that undoes.
    await expect(order.status).toBeFocused();
    await page.keyboard.press('Tab');
    await expect(order.undoButton).toBeFocused();
    await page.clock.runFor(6000);
    await expect(order.undo).toBeVisible();
    await page.keyboard.press('Tab');
    await page.clock.runFor(4000);
    await expect(order.undo).toBeVisible();
    await page.clock.runFor(1500);
    await expect(order.undo).toHaveCount(0);
    await expect(order.status).toHaveAttribute('data-status', 'Cancelled');
  });

  test('that was not changed is explained', async ({ page, simulate }) => {
    const order = new OrderPage(page);
    await order.openOrder(ID);
    await simulate({ refusing: true });
    await order.cancel.click();
    await order.confirm.click();
    await expect(order.toasts).toContainText('Le statut n’a pas été changé. Le journal est plein');
    await expect(order.status).toHaveAttribute('data-status', 'Processing');
    await expect(order.undo).toHaveCount(0);
  });

  test('that somebody else has changed since is not undone', async ({ page, request }) => {
    const order = new OrderPage(page);
    await order.openOrder(ID);
    await order.cancel.click();
    await order.confirm.click();
    await expect(order.undo).toBeVisible();
    await post(request, 'orders', { order_id: ID, status: 'Completed' });
    await expect(order.undo).toHaveCount(0, { timeout: 4000 });
    await expect(order.status).toHaveAttribute('data-status', 'Completed');
  });
});

test.describe('an order’s delivery', SIMULATOR_ONLY, () => {
  test.beforeEach(({ request }) => createOrder(request));

  test('is created with an address and a day, then moved on, and a step undone', async ({ page }) => {
    const order = new OrderPage(page);
    await order.openOrder(ID);
    const sent = watchPosts(page, 'deliveries');
    await order.openDelivery.click();
    const [address, day] = ['address', 'estimated_date'].map((name) => order.deliveryForm.locator(`[name=${name}]`));
    await expect(address!).toBeFocused();
    await order.deliveryForm.locator('button[type=submit]').click();
    await expect(order.deliveryForm).toContainText('Indiquez l’adresse');
    await expect(order.deliveryForm).toContainText('Indiquez le jour');
    await expect(address!).toBeFocused();
    await order.deliveryForm.getByRole('button', { name: 'Reprendre l’adresse' }).click();
    await expect(address!).toHaveValue(/rue des Lilas/);
    await address!.fill('3 quai de la Loire');
    await day!.fill('2026-03-15');
    await expect(order.deliveryForm).toContainText('Ce jour est passé');
    await day!.fill('2026-03-18');
    await order.deliveryForm.locator('button[type=submit]').click();
    await expect(order.delivery()).toContainText(/3 quai de la Loire/);
    await expect(order.openDelivery).toHaveCount(0);
    await order.advance.click();
    await expect(order.delivery()).toHaveAttribute('data-status', 'In Transit');
    await order.undoButton.click();
    await expect(order.delivery()).toHaveAttribute('data-status', 'Pending');
    await order.advance.click();
    await expect(order.delivery()).toHaveAttribute('data-status', 'In Transit');
    await order.advance.click();
    await expect(order.delivery()).toHaveAttribute('data-status', 'Delivered');
    await expect(order.advance).toHaveCount(0);
    const fields = { order_id: ID, address: '3 quai de la Loire', estimated_date: '2026-03-18', status: 'Pending' };
    expect(sent[0]).toEqual(expect.objectContaining(fields));
    expect(sent.slice(1).map(({ status }) => status)).toEqual(['In Transit', 'Pending', 'In Transit', 'Delivered']);
    expect(new Set(sent.map(({ delivery_id }) => delivery_id)).size).toBe(1);
  });
});

test.describe('who may act on an order', SIMULATOR_ONLY, () => {
  test.beforeEach(async ({ simulate, request }) => {
    await createOrder(request);
    await createPayment(request, CARD, 20);
    await simulate({ identity: 'staff' });
  });

  test('a viewer sees the order without personal data, and changes nothing', async ({ page }) => {
    const order = new OrderPage(page);
    await new Identity(page).openAs('viewer', `/orders/${ID}`);
    await expect(order.status).toBeVisible();
    await expect(order.panel('order')).not.toContainText('Lilas');
    await expect(order.panel('order')).not.toContainText('@example');
    for (const act of [order.pay, order.cancel, order.complete, order.openDelivery, page.getByTestId('refund')]) {
      await expect(act).toHaveCount(0);
    }
    await expect(page.getByTestId('print')).toBeVisible();
  });

  test('a cashier may do all of it', async ({ page }) => {
    const order = new OrderPage(page);
    await new Identity(page).openAs('cashier', `/orders/${ID}`);
    for (const act of [order.pay, order.cancel, order.complete, order.openDelivery, page.getByTestId('refund')]) {
      await expect(act).toBeVisible();
    }
  });

  test('somebody who signs in first comes to the order', async ({ page }) => {
    await page.goto(`/orders/${ID}`);
    await expect(page).toHaveURL(/\/login/);
    await new Identity(page).signIn('cashier');
    await expect(new OrderPage(page).number).toHaveText(ID);
  });
});

test('an order of another shop is only read', SIMULATOR_ONLY, async ({ page, simulate, request }) => {
  await simulate({ otherShops: ['lyon-2'] });
  const { items } = (await (await request.get('/api/orders?store=lyon-2')).json()) as { items: { order_id: string }[] };
  const id = items[0]!.order_id;
  const order = new OrderPage(page);
  await order.openOrder(id, 'lyon-2');
  await expect(order.shopNotice).toContainText('lyon-2');
  await expect(order.number).toHaveText(id);
  for (const act of [order.pay, order.cancel, order.complete, order.openDelivery, page.getByTestId('refund')]) {
    await expect(act).toHaveCount(0);
  }
  await page.getByRole('link', { name: 'Toutes les commandes' }).click();
  await expect(page).toHaveURL(/\/orders\?store=lyon-2$/);
  await new Orders(page).row(id).getByRole('button').click();
  await expect(page.getByTestId('open-order')).toHaveAttribute('href', `/orders/${id}?store=lyon-2`);
  await page.goto(`/orders/${id}?store=nowhere`);
  await expect(page.getByTestId('unknown-shop')).toBeVisible();
});

test.describe('the receipt', SIMULATOR_ONLY, () => {
  test.beforeEach(async ({ request }) => {
    await createOrder(request);
    await createPayment(request, CARD, 40);
    await post(request, 'payments', { payment_id: 'r-1', refund_of: CARD, amount: -4.98 });
  });

  test('is all that is printed, with lines, VAT, payments and refunds', async ({ page }) => {
    await page.addInitScript(() => Object.assign(window, { print: () => (document.title = 'printed') }));
    const order = new OrderPage(page);
    await order.openOrder(ID);
    await expect(order.receipt).toBeHidden();
    await page.getByTestId('print').click();
    await expect(page).toHaveTitle('printed');
    await page.emulateMedia({ media: 'print' });
    await expect(order.receipt).toBeVisible();
    await expect(page.locator('#app')).toBeHidden();
    for (const text of [
      /paris-1/,
      ID,
      /Cerises\s*5,02/,
      /1,255\skg/,
      /Remise -2,80/,
      /5,5\s%\s*8,02.*0,42/,
      /Total\s*35,02/,
    ]) {
      await expect(order.receipt).toContainText(text);
    }
    await expect(order.receipt).toContainText(/Carte de crédit.*40,00.*Remboursement.*-4,98/s);
    // A page that is not an order's prints as ever.
    await page.emulateMedia({ media: 'screen' });
    await order.go('orders');
    await page.emulateMedia({ media: 'print' });
    await expect(page.locator('#app')).toBeVisible();
  });

  test('fits a roll of 80 mm, or A4', async ({ page }) => {
    const order = new OrderPage(page);
    await order.openOrder(ID);
    /** The sizes of the pages in millimetres. */
    const print = async () => {
      const file = (await page.pdf({ preferCSSPageSize: true })).toString('latin1');
      const boxes = [...file.matchAll(/\/MediaBox ?\[0 0 ([\d.]+) ([\d.]+)\]/g)];
      return boxes.map(([, ...size]) => size.map((points) => Math.round((Number(points) / 72) * 25.4)));
    };
    const roll = await print();
    expect(roll).toHaveLength(1);
    expect(roll[0]?.[0]).toBe(80);
    await page.getByTestId('receipt-format').selectOption('a4');
    await expect.poll(print).toEqual([[210, 297]]);
    await page.reload();
    await expect(page.getByTestId('receipt-format')).toHaveValue('a4');
  });
});

for (const [language, colorScheme] of LOOKS) {
  test.describe(`in ${language}, ${colorScheme}`, SIMULATOR_ONLY, () => {
    test.use({ colorScheme, locale: language === 'fr' ? 'fr-FR' : 'en-GB' });

    for (const width of [1440, 320]) {
      test(`axe finds no violation, and nothing is wider than ${width} pixels or too small to touch`, async ({
        page,
        request,
      }) => {
        await page.setViewportSize({ width, height: 800 });
        await createOrder(request, { status: 'Processing' });
        await createPayment(request, CARD, 20);
        await post(request, 'payments', { payment_id: 'r-1', refund_of: CARD, amount: -5 });
        const order = new OrderPage(page);
        await order.openOrder(ID);
        await expect(page.locator('html')).toHaveAttribute('lang', language);
        const check = async (name: string) => {
          expect(await findViolations(order), name).toEqual([]);
          expect(await page.evaluate(() => document.documentElement.scrollWidth), name).toBeLessThanOrEqual(width);
          const small = await page
            .locator('.order-page :is(button, select, input:not([type=radio], [type=checkbox])):visible')
            .evaluateAll((all) =>
              all
                .filter((element) => element.getBoundingClientRect().height < 43.5)
                .map((element) => element.outerHTML),
            );
          expect(small, name).toEqual([]);
        };
        await check('page');
        await order.refund(CARD, 'items');
        for (const box of await order.refundDialog.getByRole('checkbox').all()) await box.check();
        await check('refund');
        await page.keyboard.press('Escape');
        await order.openDelivery.click();
        await order.deliveryForm.locator('button[type=submit]').click();
        await check('delivery');
        await order.cancel.click();
        await check('question');
        await order.confirm.click();
        await expect(order.undo).toBeVisible();
        await check('undo');
      });
    }
  });
}

test('an order is paid and refunded with the keyboard alone', SIMULATOR_ONLY, async ({ page, request, simulate }) => {
  await simulate({ demo: false });
  await createOrder(request);
  const order = new OrderPage(page);
  await order.openOrder(ID);
  await order.pay.locator('[name=amount]').focus();
  await page.keyboard.press('Enter');
  await expect(order.status).toHaveAttribute('data-status', 'Completed');
  const opener = page.getByTestId('refund');
  await opener.focus();
  await page.keyboard.press('Enter');
  await expect(order.refundDialog).toBeVisible();
  await expect(order.refundDialog.locator(':focus')).toHaveCount(1);
  await page.keyboard.press('Escape');
  await expect(opener).toBeFocused();
  await page.keyboard.press('Enter');
  await order.refundDialog.locator('input[value=all]').focus();
  await page.keyboard.press('ArrowLeft');
  await order.refundDialog.locator('[name=amount]').focus();
  await page.keyboard.type('2,50');
  await page.keyboard.press('Enter');
  await expect(order.sum('refunded')).toHaveText(/-2,50/);
  await expect(new App(page).toasts).toContainText(/Remboursé.*2,50/);
});
