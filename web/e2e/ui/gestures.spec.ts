/** What a person does on the pages. */
import type { APIRequestContext, Locator } from '@playwright/test';
import { PROBLEMS, type Stats } from '../../src/lib/api/types';
import { Dashboard, Deliveries, Gateway, Orders, Payments } from '../pages/app';
import { expect, SIMULATOR_ONLY, test } from './fixtures';

const getStats = async (request: APIRequestContext) => (await (await request.get('/api/stats')).json()) as Stats;

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
    expect(await orders.shownIds()).toEqual(second);
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
    // The open order was the last row. Clicking it scrolled the page, which also pauses the list.
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
    await expect(page.getByTestId('payment-failure')).toContainText('On ne sait pas si c’est enregistré');
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
    await expect(warning).toContainText('On ne sait pas si c’est enregistré');
    for (const leave of [() => payments.go('orders').then(() => payments.go('payments')), () => page.reload()]) {
      await leave();
      await expect(warning).toContainText('On ne sait pas si c’est enregistré. Renvoyez-le tel quel');
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

test.describe('gateway', () => {
  test('the counter has a name in the reader’s language, and no presence', async ({ page, request }) => {
    await request.post('/api/orders', { data: {} });
    const gateway = new Gateway(page);
    await gateway.open('gateway');
    await expect(gateway.till('counter').locator('td').first()).toHaveText('Comptoir');
    await gateway.speak('en');
    await expect(gateway.till('counter').locator('td').first()).toHaveText('Counter');
  });

  test('the journal says in words what is in Kafka, once something is', SIMULATOR_ONLY, async ({ page, simulate }) => {
    const gateway = new Gateway(page);
    await gateway.open('gateway');
    await expect(page.locator('[data-panel="journal"] dl')).toContainText(
      /Tout est dans Kafka jusqu’au\s*n°\s[\d\s]+ du journal/,
    );
    await simulate({ neverSent: true });
    await expect(page.locator('[data-panel="journal"] dl')).not.toContainText('Tout est dans Kafka');
  });

  test('a topic’s row counts its partitions, and theirs have numbers', async ({ page, request }) => {
    await request.post('/api/orders', { data: {} });
    const gateway = new Gateway(page);
    await gateway.open('gateway');
    const panel = page.locator('[data-panel="partitions"]');
    await expect(panel.locator('th').nth(1)).toHaveText('Partitions');
    await expect(panel.locator('[data-topic="orders"] td').nth(1)).toHaveText(/^\d+$/);
    await page.getByRole('button', { name: 'Partitions du topic «\u00a0orders\u00a0»' }).click();
    await expect(panel.locator('[data-partition^="orders"] td').nth(1)).toHaveText(/^n°\u00a0\d+$/);
  });

  test('the status bar and the rows follow Kafka down and up', async ({ page }) => {
    const gateway = new Gateway(page);
    await gateway.open('gateway');
    await gateway.kafkaDown().click();
    await expect(gateway.bar).toContainText('Hors ligne');
    await expect(gateway.link('Kafka')).toHaveAttribute('data-state', 'down');
    await expect(gateway.health()).toContainText('Hors ligne');
    await page.getByRole('button', { name: 'Partitions du topic «\u00a0orders\u00a0»' }).click();
    await expect(page.locator('[data-partition^=orders]')).toHaveCount(3);
    await page.request.post('/api/orders', { data: {} });
    await page.request.post('/api/orders', { data: {} });
    await expect(gateway.bar).toContainText(/\d+ événements sont en sécurité ici et partiront plus tard/);
    await gateway.go('orders');
    await expect(page.locator('tr[data-id] [data-state="local"]').first()).toBeVisible();
    await gateway.go('gateway');
    await gateway.kafkaUp().click();
    await expect(gateway.bar).toContainText('Les ventes sont envoyées au fur et à mesure');
    await gateway.go('orders');
    await expect(page.locator('tr[data-id] [data-state="local"]')).toHaveCount(0);
  });

  test('the gateway page shows settings problems until they are fixed', SIMULATOR_ONLY, async ({ page, simulate }) => {
    const gateway = new Gateway(page);
    await simulate({
      settingsProblems: [
        { place: '/etc/comptoir/gateway.toml', key: 'kafka.partitions', message: 'at least 1' },
        { place: 'comptoir.txt, line 3', message: 'KEY=value is expected' },
      ],
    });
    await gateway.open('gateway');
    await expect(gateway.settings()).toContainText('La configuration contient des erreurs');
    await expect(gateway.settings().getByRole('listitem')).toHaveText([
      /kafka\.partitions.*at least 1.*gateway\.toml/,
      /KEY=value is expected.*line 3/,
    ]);
    await gateway.speak('en');
    await expect(gateway.settings()).toContainText('running on its last working configuration');
    await simulate({ settingsProblems: [] });
    await gateway.open('gateway');
    await expect(gateway.settings()).toHaveCount(0);
  });

  test('dead letters show their bytes, can be exported unchanged, and retried', SIMULATOR_ONLY, async ({ page }) => {
    const gateway = new Gateway(page);
    await gateway.open('gateway');
    const letter = gateway.deadLetter(2);
    await letter.locator('.opener').click();
    await letter.locator('input[value=hex]').check({ force: true });
    await expect(letter.locator('pre')).toContainText('0000  09 e2 82 ac');
    const download = page.waitForEvent('download');
    await letter.getByRole('button', { name: 'Exporter' }).click();
    expect((await download).suggestedFilename()).toBe('dead-letter-2.bin');
    await letter.getByRole('button', { name: 'Réessayer' }).click();
    await expect(gateway.toasts).toContainText('Décodé et enregistré');
    await expect(letter).toContainText('réessayé');
    await expect(gateway.health()).toContainText('2 messages');
    await gateway.deadLetter(3).getByRole('button', { name: 'Réessayer' }).click();
    await expect(gateway.toasts).toContainText('Il ne peut toujours pas être décodé');
  });

  test(
    'the reason of a dead letter is in the reader’s language, with the gateway’s words as details',
    SIMULATOR_ONLY,
    async ({ page }) => {
      const gateway = new Gateway(page);
      await gateway.open('gateway');
      const letter = gateway.deadLetter(3);
      await expect(letter.locator('.reason')).toHaveText('Le champ «\u00a0Montant\u00a0» n’est pas valide');
      await letter.locator('summary').click();
      await expect(letter.locator('[lang=en]')).toHaveText('amount: expected a decimal number, found "douze"');
      await gateway.speak('en');
      await expect(letter.locator('.reason')).toHaveText('The field “Amount” is not valid');
    },
  );

  test('dead letters that cannot be loaded are not "no dead letters"', SIMULATOR_ONLY, async ({ page }) => {
    const gateway = new Gateway(page);
    const type = 'urn:comptoir:problem:read-failed';
    const problem = JSON.stringify({ type, ...PROBLEMS[type], detail: 'x' });
    let isBroken = true;
    await page.route('**/api/dead-letters?**', (route) =>
      isBroken
        ? route.fulfill({ status: 503, contentType: 'application/problem+json', body: problem })
        : route.continue(),
    );
    await page.goto('/gateway');
    const panel = gateway.deadLetters();
    await expect(panel.getByRole('alert')).toContainText('La passerelle ne peut pas lire son disque');
    await expect(panel).not.toContainText('Aucun message illisible');
    isBroken = false;
    await panel.getByRole('button', { name: 'Recharger' }).click();
    await expect(gateway.deadLetter(2)).toBeVisible();
    await expect(panel.getByRole('alert')).toHaveCount(0);
  });
});
