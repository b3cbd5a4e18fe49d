import type { APIRequestContext, Locator } from '@playwright/test';
import { PROBLEMS } from '../../src/lib/api/types';
import { Dashboard, Deliveries, Gateway, Orders, Payments } from '../pages/app';
import { expect, test } from './simulator';

test.describe('addresses', () => {
  test('each page opens directly, / is the dashboard, and back goes back', async ({ page }) => {
    const app = new Dashboard(page);
    await app.open('');
    await expect(app.card('orders')).toBeVisible();
    await app.go('deliveries');
    await app.go('gateway');
    await page.goBack();
    await expect(page).toHaveURL(/\/deliveries$/);
    await expect(page.locator('h1')).toHaveText('Livraisons');
  });
});

test.describe('dashboard', () => {
  test('says what /api/stats says, and goes on saying it', async ({ page, request, simulate }) => {
    const dashboard = new Dashboard(page);
    await dashboard.open('dashboard');
    await simulate({ rate: 10 });
    await page.waitForTimeout(1500);
    await simulate({ rate: 0 });
    await expect(async () => {
      const stats = (await (await request.get('/api/stats')).json()) as { total_orders: number; total_revenue: number };
      const plain = (s: string) => s.replace(/\s/g, ' ');
      expect(plain(await dashboard.card('orders').innerText())).toBe(plain(new Intl.NumberFormat('fr-FR').format(stats.total_orders)));
      expect(plain(await dashboard.card('revenue').innerText())).toBe(plain(new Intl.NumberFormat('fr-FR', { style: 'currency', currency: 'EUR' }).format(stats.total_revenue)));
    }).toPass({ timeout: 10_000 });
    await expect(dashboard.rows()).toHaveCount(50);
  });
});

test.describe('orders', () => {
  test('one is created, arrives, and is confirmed', async ({ page }) => {
    const orders = new Orders(page);
    await orders.open('orders');
    const id = await orders.createOne();
    await expect(orders.rows().first()).toHaveAttribute('data-id', id);
    await expect(orders.toasts).toContainText(id.slice(0, 10));
    await expect(orders.row(id).locator('[data-state]').last()).toHaveAttribute('data-state', 'kafka');
    await expect(orders.rows()).toHaveCount(50);
  });

  test('auto-generate goes on over other pages, and stops when told', async ({ page }) => {
    const orders = new Orders(page);
    await orders.open('orders');
    await orders.auto().click();
    await expect(orders.auto()).toHaveText('Arrêter');
    await orders.go('payments');
    await page.waitForResponse((r) => r.url().endsWith('/api/orders') && r.request().method() === 'POST', { timeout: 5000 });
    await orders.go('orders');
    await orders.auto().click();
    await expect(orders.auto()).toHaveText('Auto-générer');
  });

  test('a row opens to the order’s life', async ({ page }) => {
    const orders = new Orders(page);
    await orders.open('orders');
    const id = await orders.createOne();
    await orders.row(id).click();
    await expect(orders.life()).toContainText('par counter');
    await expect(orders.life()).toContainText(/partition \d, position \d/);
  });

  test('older ones are pages, and the newest come back', async ({ page }) => {
    const orders = new Orders(page);
    await orders.open('orders');
    const first = await orders.rows().first().getAttribute('data-id');
    await orders.older().click();
    await expect(page.locator('[data-panel="orders"] h2')).toContainText('page 2');
    await expect(orders.row(first ?? '')).toHaveCount(0);
    await orders.older().click();
    await expect(page.locator('[data-panel="orders"] h2')).toContainText('page 3');
    await page.getByRole('button', { name: 'Revenir aux dernières' }).click();
    await expect(orders.rows().first()).toHaveAttribute('data-id', first ?? '');
  });
});

test.describe('nothing jumps under who is reading', () => {
  const topOf = (row: Locator) => row.evaluate((r) => r.getBoundingClientRect().top);
  const sell = async (request: APIRequestContext, times: number) => {
    for (let i = 0; i < times; i += 1) await request.post('/api/orders', { data: {} });
  };

  test('an open order stays where it is, whatever arrives, until the new ones are asked for', async ({ page, request }) => {
    const orders = new Orders(page);
    await orders.open('orders');
    const id = (await orders.rows().nth(2).getAttribute('data-id')) ?? '';
    await orders.row(id).getByRole('button').click();
    await expect(orders.life()).toContainText('par ');
    const before = await topOf(orders.row(id));
    await sell(request, 3);
    await expect(orders.news()).toContainText('3 nouvelles');
    expect(await topOf(orders.row(id))).toBe(before);
    await sell(request, 52);
    await expect(orders.news()).toContainText('50 nouvelles');
    await expect(orders.life()).toBeVisible();
    // Fifty are the most that are kept: the last two may come a moment later, and wait again.
    await expect(async () => {
      if ((await orders.news().count()) > 0) await orders.news().click();
      await expect(orders.news()).toHaveCount(0, { timeout: 500 });
    }).toPass();
    await expect(orders.rows()).toHaveCount(51);
    await expect(orders.life()).toBeVisible();
    await orders.row(id).getByRole('button').click();
    // It is the last row, and was scrolled to: that holds the list, too.
    await page.evaluate(() => scrollTo(0, 0));
    await expect(orders.rows()).toHaveCount(50);
  });

  for (const name of ['orders', 'payments', 'deliveries', 'dashboard'] as const) {
    test(`a list that is scrolled stands still: ${name}`, async ({ page, request }) => {
      const app = new Orders(page);
      await app.open(name);
      const rows = page.locator('main [data-id]');
      if (name === 'dashboard') await page.locator('.scroll').evaluate((s) => s.scrollTo(0, 300));
      else await page.evaluate(() => scrollTo(0, 300));
      const row = page.locator(`main [data-id="${await rows.nth(12).getAttribute('data-id')}"]`);
      const before = await topOf(row);
      for (const kind of ['orders', 'payments', 'deliveries']) await request.post(`/api/${kind}`, { data: {} });
      await expect(app.news()).toBeVisible();
      expect(await topOf(row)).toBe(before);
      await app.news().click();
      await expect(rows.first()).toBeInViewport();
      await expect(app.news()).toHaveCount(0);
    });
  }
});

test.describe('a page of older orders', () => {
  test('lives on: what happens to its rows is seen there, too', async ({ page, request }) => {
    const orders = new Orders(page);
    await orders.open('orders');
    await orders.older().click();
    await expect(page.locator('[data-panel="orders"] h2')).toContainText('page 2');
    const id = (await orders.rows().nth(3).getAttribute('data-id')) ?? '';
    await request.post('/api/demo/kafka', { data: { up: false } });
    await request.post('/api/orders', { data: { order_id: id, status: 'Cancelled' } });
    await expect(orders.row(id)).toContainText('Annulée');
    await expect(orders.row(id).locator('[data-state]')).toHaveAttribute('data-state', 'local');
    await request.post('/api/demo/kafka', { data: { up: true } });
    await expect(orders.row(id).locator('[data-state]')).toHaveAttribute('data-state', 'kafka');
    expect(await orders.rows().nth(3).getAttribute('data-id')).toBe(id);
  });
});

test.describe('payments', () => {
  test('the result is shown at once, the row follows', async ({ page }) => {
    const payments = new Payments(page);
    await payments.open('payments');
    await payments.field('order_id').fill('o-1234');
    await payments.field('method').selectOption('Cash');
    await payments.field('amount').fill('99,99');
    await payments.send().click();
    await expect(payments.result().locator('[data-status]')).toContainText(/99,99\s€/);
    await expect(payments.rows().first()).toContainText('Espèces');
  });

  test('a wrong field is named, by the page and by the gateway', async ({ page }) => {
    const payments = new Payments(page);
    await payments.open('payments');
    await payments.send().click();
    await expect(payments.field('order_id')).toHaveAttribute('aria-invalid', 'true');
    await expect(payments.field('order_id')).toBeFocused();
    await payments.field('order_id').fill('o'.repeat(129));
    await payments.field('amount').fill('1');
    await payments.send().click();
    await expect(page.locator('#wrong-order')).toContainText('Aucune commande n’a un tel numéro');
    await page.locator('form summary').click();
    await expect(page.locator('form [lang=en]')).toContainText('at most 128');
  });

  test('one that was not answered is not called "not stored", and sent again it is the same', async ({ page, request }) => {
    const payments = new Payments(page);
    await payments.open('payments');
    const sent: string[] = [];
    await page.route('**/api/payments', async (route) => {
      sent.push((route.request().postDataJSON() as { payment_id: string }).payment_id);
      if (sent.length === 1) await route.abort();
      else await route.continue();
    });
    await payments.fill('o-1234', '7,70');
    await payments.send().click();
    await expect(page.getByTestId('payment-failure')).toContainText('On ne sait pas si c’est enregistré');
    await expect(page.getByTestId('payment-failure')).not.toContainText('n’a pas été enregistré');
    await payments.send().click();
    await expect(payments.result().locator('[data-status]')).toContainText(/7,70\s€/);
    expect(sent[1]).toBe(sent[0]);
    await payments.fill('o-1234', '7,70');
    await payments.send().click();
    await expect.poll(() => sent.length).toBe(3);
    expect(sent[2]).not.toBe(sent[0]);
    const { total_payments: before } = (await (await request.get('/api/stats')).json()) as { total_payments: number };
    await request.post('/api/payments', { data: { payment_id: sent[0] } });
    expect(((await (await request.get('/api/stats')).json()) as { total_payments: number }).total_payments).toBe(before);
  });

  test('one whose answer was lost is shown when it arrives', async ({ page }) => {
    const payments = new Payments(page);
    await payments.open('payments');
    await page.route('**/api/payments', async (route) => {
      await route.fetch();
      await route.abort();
    });
    await payments.fill('o-1234', '8,80');
    await payments.send().click();
    await expect(payments.result().locator('[data-status]')).toContainText(/8,80\s€/);
    await expect(payments.field('amount')).toHaveValue('');
  });

  test('a known order brings its amount', async ({ page }) => {
    const payments = new Payments(page);
    await payments.open('payments');
    // Only what nobody has paid is suggested: in this shop, nothing yet.
    await expect(page.locator('#orders-to-pay option')).toHaveCount(0);
    await page.request.post('/api/orders', { data: {} });
    await expect(page.locator('#orders-to-pay option')).toHaveText(/ .*, .*€$/);
    const id = await page.locator('#orders-to-pay option').first().getAttribute('value');
    await payments.field('order_id').fill(id ?? '');
    await payments.field('order_id').blur();
    await expect(payments.field('amount')).toHaveValue(/^\d+,\d\d$/);
  });

  test('sound waits for the first click, and can be switched off for good', async ({ page }) => {
    await page.addInitScript(() => {
      const made: AudioContext[] = [];
      Object.assign(window, { made });
      const Real = window.AudioContext;
      window.AudioContext = class extends Real {
        constructor() {
          super();
          made.push(this);
        }
      };
    });
    const contexts = () => page.evaluate(() => (window as unknown as { made: unknown[] }).made.length);
    const payments = new Payments(page);
    await payments.open('payments');
    expect(await contexts()).toBe(0);
    await payments.sound().click();
    await expect(payments.sound()).toHaveText('Son coupé');
    await payments.open('payments');
    await expect(payments.sound()).toHaveText('Son coupé');
    await page.locator('h1').click();
    expect(await contexts()).toBe(0);
    await payments.sound().click();
    await page.locator('h1').click();
    expect(await contexts()).toBe(1);
  });
});

test('a payment is heard, also after sound was switched on again', async ({ page, request }) => {
  await page.addInitScript(() => {
    const heard = { notes: 0 };
    Object.assign(window, { heard });
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (when) {
      heard.notes += 1;
      start.call(this, when);
    };
  });
  const notes = () => page.evaluate(() => (window as unknown as { heard: { notes: number } }).heard.notes);
  const payments = new Payments(page);
  await payments.open('payments');
  await page.locator('h1').click();
  await request.post('/api/payments', { data: { order_id: 'o-1', amount: 3 } });
  await expect.poll(notes).toBe(2);
  await payments.sound().click();
  await payments.open('payments');
  await request.post('/api/payments', { data: { order_id: 'o-1', amount: 3 } });
  await payments.sound().click();
  await expect.poll(notes).toBe(2);
});

test.describe('deliveries', () => {
  test('filters are instant and ask the gateway for nothing', async ({ page }) => {
    const deliveries = new Deliveries(page);
    await deliveries.open('deliveries');
    const asked: string[] = [];
    page.on('request', (r) => {
      if (r.url().includes('/api/')) asked.push(r.url());
    });
    for (const [status, share] of [['Pending', 10], ['In Transit', 50], ['Delivered', 100]] as const) {
      await deliveries.filter(status);
      const items = deliveries.items();
      expect(await items.evaluateAll((all) => [...new Set(all.map((i) => (i as HTMLElement).dataset.status))])).toEqual([status]);
      await expect(items.first().getByRole('progressbar')).toHaveAttribute('aria-valuenow', String(share));
    }
    await deliveries.filter('All');
    await expect(deliveries.items()).toHaveCount(50);
    expect(asked).toEqual([]);
  });
});

test('dead letters that cannot be asked for are not "no dead letter"', async ({ page }) => {
  const gateway = new Gateway(page);
  let broken = true;
  await page.route('**/api/dead-letters?**', (route) => (broken ? route.fulfill({ status: 503, contentType: 'application/problem+json', body: JSON.stringify({ type: 'urn:comptoir:problem:read-failed', ...PROBLEMS['urn:comptoir:problem:read-failed'], detail: 'x' }) }) : route.continue()));
  await page.goto('/gateway');
  const panel = page.locator('[data-panel="dead-letters"]');
  await expect(panel.getByRole('alert')).toContainText('La passerelle ne peut pas lire son disque');
  await expect(panel).not.toContainText('Aucune lettre morte');
  broken = false;
  await panel.getByRole('button', { name: 'Redemander' }).click();
  await expect(gateway.deadLetter(2)).toBeVisible();
  await expect(panel.getByRole('alert')).toHaveCount(0);
});

test.describe('gateway', () => {
  test('Kafka goes and comes back, and the bar tells the truth', async ({ page }) => {
    const gateway = new Gateway(page);
    await gateway.open('gateway');
    await gateway.kafkaDown().click();
    await expect(gateway.bar).toContainText('Hors ligne');
    await expect(gateway.link('Kafka')).toHaveAttribute('data-state', 'down');
    await expect(page.getByTestId('health')).toContainText('Hors ligne');
    await page.getByRole('button', { name: 'Partitions de orders' }).click();
    await expect(page.locator('[data-partition^=orders]')).toHaveCount(3);
    await page.request.post('/api/orders', { data: {} });
    await page.request.post('/api/orders', { data: {} });
    await expect(gateway.bar).toContainText(/\d+ événements sont en sûreté ici et seront envoyés/);
    await gateway.go('orders');
    await expect(page.locator('tr[data-id] [data-state="local"]').first()).toBeVisible();
    await gateway.go('gateway');
    await gateway.kafkaUp().click();
    await expect(gateway.bar).toContainText('chaque événement y entre aussitôt');
    await gateway.go('orders');
    await expect(page.locator('tr[data-id] [data-state="local"]')).toHaveCount(0);
  });

  test('settings with an error are said where the gateway is looked at, and no longer once they are right', async ({ page, simulate }) => {
    const gateway = new Gateway(page);
    await simulate({ settings: [{ place: '/etc/comptoir/gateway.toml', key: 'kafka.partitions', message: 'at least 1' }, { place: 'comptoir.txt, line 3', message: 'KEY=value is expected' }] });
    await gateway.open('gateway');
    await expect(gateway.settings()).toContainText('Les réglages contiennent une erreur');
    await expect(gateway.settings().getByRole('listitem')).toHaveText([/kafka\.partitions.*at least 1.*gateway\.toml/, /KEY=value is expected.*line 3/]);
    await gateway.speak('en');
    await expect(gateway.settings()).toContainText('runs on its last good settings');
    await simulate({ settings: [] });
    await gateway.open('gateway');
    await expect(gateway.settings()).toHaveCount(0);
  });

  test('dead letters show their bytes, are exported whole, and retried', async ({ page }) => {
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
    await expect(gateway.toasts).toContainText('Elle a pu être décodée');
    await expect(letter).toContainText('réessayée');
    await expect(page.getByTestId('health')).toContainText('2 lettres mortes');
    await gateway.deadLetter(3).getByRole('button', { name: 'Réessayer' }).click();
    await expect(gateway.toasts).toContainText('Elle ne peut toujours pas être décodée');
  });
});
