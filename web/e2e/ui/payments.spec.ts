/** Taking payments. */
import { Payments } from '../pages/app';
import { expect, getStats, SIMULATOR_ONLY, test } from './fixtures';

test.describe('payments', () => {
  test('the result appears at once, and the payment’s row follows', async ({ page }) => {
    const payments = new Payments(page);
    await payments.open('payments');
    await payments.field('order_id').fill('o-1234');
    await payments.field('method').selectOption('Cash');
    await payments.field('amount').fill('99,99');
    await payments.send().click();
    await expect(payments.result().locator('[data-status]')).toContainText(/99,99\s€/);
    await expect(payments.rows().first()).toContainText('Espèces');
  });

  test('the page and the gateway name a wrong field', async ({ page }) => {
    const payments = new Payments(page);
    await payments.open('payments');
    await payments.send().click();
    await expect(payments.field('order_id')).toHaveAttribute('aria-invalid', 'true');
    await expect(payments.field('order_id')).toBeFocused();
    await payments.field('order_id').fill('o'.repeat(129));
    await payments.field('amount').fill('1');
    await payments.send().click();
    await expect(page.locator('#wrong-order')).toContainText('Aucune commande n’a ce numéro');
    await page.locator('form summary').click();
    await expect(page.locator('form [lang=en]')).toContainText('at most 128');
  });

  test('a payment without an answer is not called "not stored", and keeps its id when it is sent again', async ({
    page,
    request,
  }) => {
    const payments = new Payments(page);
    await payments.open('payments');
    const sentIds: string[] = [];
    await page.route('**/api/payments', async (route) => {
      const sent = route.request().postDataJSON() as { payment_id: string; status?: string };
      // In the demo the form sends no status: the gateway decides whether the payment succeeds.
      expect(sent.status).toBeUndefined();
      sentIds.push(sent.payment_id);
      if (sentIds.length === 1) await route.abort();
      else await route.continue();
    });
    await payments.fill('o-1234', '7,70');
    await payments.send().click();
    await expect(page.getByTestId('payment-failure')).toContainText('Impossible de savoir si c’est enregistré');
    await expect(page.getByTestId('payment-failure')).not.toContainText('n’a pas été enregistré');
    await payments.send().click();
    await expect(payments.result().locator('[data-status]')).toContainText(/7,70\s€/);
    expect(sentIds[1]).toBe(sentIds[0]);
    await payments.fill('o-1234', '7,70');
    await payments.send().click();
    await expect.poll(() => sentIds.length).toBe(3);
    expect(sentIds[2]).not.toBe(sentIds[0]);
    await expect(payments.result().locator('[data-status]')).toContainText(/7,70\s€/);
    const { total_payments: before } = await getStats(request);
    await request.post('/api/payments', { data: { payment_id: sentIds[0] } });
    expect((await getStats(request)).total_payments).toBe(before);
  });

  test('a payment without an answer is still there after another page and a reload, with its id and the warning', async ({
    page,
  }) => {
    const payments = new Payments(page);
    await payments.open('payments');
    const sentIds: string[] = [];
    await page.route('**/api/payments', async (route) => {
      sentIds.push((route.request().postDataJSON() as { payment_id: string }).payment_id);
      if (sentIds.length === 1) await route.abort();
      else await route.continue();
    });
    await payments.field('method').selectOption('Cash');
    await payments.fill('o-1234', '7,70');
    await payments.send().click();
    const warning = page.getByTestId('payment-failure');
    await expect(warning).toContainText('Impossible de savoir si c’est enregistré');
    for (const leave of [() => payments.go('orders').then(() => payments.go('payments')), () => page.reload()]) {
      await leave();
      await expect(warning).toContainText('Impossible de savoir si c’est enregistré. Renvoyez-le tel quel');
      await expect(payments.field('order_id')).toHaveValue('o-1234');
      await expect(payments.field('amount')).toHaveValue('7,70');
      await expect(payments.field('method')).toHaveValue('Cash');
    }
    await payments.send().click();
    await expect(payments.result().locator('[data-status]')).toContainText(/7,70\s€/);
    expect(sentIds).toEqual([sentIds[0], sentIds[0]]);
    await page.reload();
    await expect(payments.field('order_id')).toHaveValue('');
    await expect(warning).toHaveCount(0);
  });

  test('a payment whose answer is lost after another page was opened has the warning, too', async ({ page }) => {
    const payments = new Payments(page);
    await payments.open('payments');
    let answer: (() => Promise<void>) | undefined;
    await page.route('**/api/payments', (route) => {
      answer = () => route.abort();
    });
    await payments.fill('o-1234', '7,70');
    await payments.send().click();
    await expect.poll(() => answer).toBeDefined();
    await payments.go('orders');
    await answer?.();
    await payments.go('payments');
    await expect(page.getByTestId('payment-failure')).toContainText('Renvoyez-le tel quel');
    await expect(payments.field('amount')).toHaveValue('7,70');
  });

  test('what was typed is still there after another page', async ({ page }) => {
    const payments = new Payments(page);
    await payments.open('payments');
    await payments.fill('o-1234', '7.7');
    await payments.go('dashboard');
    await payments.go('payments');
    await expect(payments.field('order_id')).toHaveValue('o-1234');
    await expect(payments.field('amount')).toHaveValue('7.7');
    await expect(page.getByTestId('payment-failure')).toHaveCount(0);
    // A numeric keypad types a point, whatever the language.
    await payments.send().click();
    await expect(payments.result().locator('[data-status]')).toContainText(/7,70\s€/);
  });

  test('a payment whose answer was lost is shown when it arrives live', async ({ page, request }) => {
    const payments = new Payments(page);
    await payments.open('payments');
    await page.route('**/api/payments', async (route) => {
      // Not `route.fetch`: the gateway would treat it as a cross-site request.
      await request.post('/api/payments', { data: route.request().postDataJSON() as object });
      await route.abort();
    });
    await payments.fill('o-1234', '8,80');
    await payments.send().click();
    await expect(payments.result().locator('[data-status]')).toContainText(/8,80\s€/);
    await expect(payments.field('amount')).toHaveValue('');
  });

  test('an unpaid order is suggested, and fills in its amount', async ({ page, request }) => {
    const payments = new Payments(page);
    await payments.open('payments');
    const order = { order_id: 'o-unpaid', customer_name: 'Ada', product: 'Miel', amount: 8.9, status: 'Pending' };
    await request.post('/api/orders', { data: order });
    const suggestion = page.locator('#orders-to-pay option[value="o-unpaid"]');
    await expect(suggestion).toHaveText(/^Ada, 8,90\s€$/);
    await payments.field('order_id').fill('o-unpaid');
    await payments.field('order_id').blur();
    await expect(payments.field('amount')).toHaveValue('8,90');
    await request.post('/api/payments', { data: { order_id: 'o-unpaid', amount: 8.9, status: 'SUCCESS' } });
    await expect(suggestion).toHaveCount(0);
  });

  test('sound waits for the first click, and stays off once it is switched off', SIMULATOR_ONLY, async ({ page }) => {
    await page.addInitScript(() => {
      const contexts: AudioContext[] = [];
      Object.assign(window, { contexts });
      const Original = window.AudioContext;
      window.AudioContext = class extends Original {
        constructor() {
          super();
          contexts.push(this);
        }
      };
    });
    const countContexts = () => page.evaluate(() => (window as unknown as { contexts: unknown[] }).contexts.length);
    const payments = new Payments(page);
    await payments.open('payments');
    expect(await countContexts()).toBe(0);
    await payments.sound().click();
    await expect(payments.sound()).toHaveText('Son coupé');
    await payments.open('payments');
    await expect(payments.sound()).toHaveText('Son coupé');
    await page.locator('h1').click();
    expect(await countContexts()).toBe(0);
    await payments.sound().click();
    await page.locator('h1').click();
    expect(await countContexts()).toBe(1);
  });

  test('a payment plays two notes, also after sound was switched off and on', async ({ page, request }) => {
    await page.addInitScript(() => {
      const played = { notes: 0 };
      Object.assign(window, { played });
      const start = OscillatorNode.prototype.start;
      OscillatorNode.prototype.start = function (when) {
        played.notes += 1;
        start.call(this, when);
      };
    });
    const countNotes = () => page.evaluate(() => (window as unknown as { played: { notes: number } }).played.notes);
    const payments = new Payments(page);
    await payments.open('payments');
    await page.locator('h1').click();
    await request.post('/api/payments', { data: { order_id: 'o-1', amount: 3 } });
    await expect.poll(countNotes).toBe(2);
    await payments.sound().click();
    await payments.open('payments');
    await request.post('/api/payments', { data: { order_id: 'o-1', amount: 3 } });
    await payments.sound().click();
    await expect.poll(countNotes).toBe(2);
  });
});
