/** Sales are made up only where the gateway does so, and it says so there. */
import { findViolations } from '../pages/axe';
import { App, Dashboard, Deliveries, Orders, Payments } from '../pages/app';
import { Identity } from '../pages/identity';
import { expect, LOOKS, SIMULATOR_ONLY, test } from './fixtures';

const badge = (app: App) => app.page.getByTestId('demo-badge');
/** The only console messages that the pages write on purpose. */
const collectOrders = (app: App) => {
  const messages: string[] = [];
  app.page.on('console', (message) => {
    if (message.text().startsWith('new_order received:')) messages.push(message.text());
  });
  return messages;
};

test.describe('in a shop', SIMULATOR_ONLY, () => {
  test.beforeEach(({ simulate }) => simulate({ invent: false, demo: false }));

  test('no page has a button that makes up a sale, or says that there is one', async ({ page, simulate }) => {
    const orders = new Orders(page);
    await orders.open('orders');
    await expect(orders.rows()).toHaveCount(50);
    await expect(orders.create()).toHaveCount(0);
    await expect(orders.auto()).toHaveCount(0);
    await orders.go('deliveries');
    await expect(new Deliveries(page).items().first()).toBeVisible();
    await expect(page.getByTestId('create')).toHaveCount(0);
    await expect(badge(orders)).toHaveCount(0);
    await simulate({ empty: true, invent: false, demo: false });
    await orders.open('dashboard');
    await expect(page.locator('main')).toContainText('Les ventes des caisses s’affichent ici en direct.');
    await expect(page.locator('main')).not.toContainText(/Créez|Aller aux commandes/);
    await orders.open('orders');
    await expect(page.locator('main')).toContainText('Les ventes des caisses s’affichent ici en direct.');
    await expect(page.locator('main')).not.toContainText(/Créez/);
  });

  test('a payment needs its order, its method, its amount and its status', async ({ page }) => {
    const payments = new Payments(page);
    await payments.open('payments');
    await expect(payments.field('method')).toHaveValue('');
    let posts = 0;
    page.on('request', (sent) => {
      if (sent.method() === 'POST' && sent.url().endsWith('/api/payments')) posts += 1;
    });
    const wrong = async () =>
      page.locator('form [aria-invalid=true]').evaluateAll((all) => all.map((field) => field.getAttribute('name')));
    await payments.send().click();
    await expect.poll(wrong).toEqual(['order_id', 'method', 'amount', 'status']);
    await expect(payments.field('order_id')).toBeFocused();
    await payments.fill('o-1234', '12,50');
    await payments.send().click();
    await expect.poll(wrong).toEqual(['method', 'status']);
    await expect(payments.field('method')).toBeFocused();
    await expect(page.locator('#wrong-status')).toHaveText('À choisir dans la liste');
    await payments.field('method').selectOption('Cash');
    await payments.field('status').selectOption('FAILED');
    expect(posts).toBe(0);
    const sent = page.waitForRequest((post) => post.method() === 'POST' && post.url().endsWith('/api/payments'));
    await payments.send().click();
    expect((await sent).postDataJSON()).toMatchObject({
      order_id: 'o-1234',
      method: 'Cash',
      amount: 12.5,
      currency: 'EUR',
      status: 'FAILED',
    });
    await expect(payments.result().locator('[data-status=FAILED]')).toContainText(/12,50\s€/);
    // The next payment's status is chosen again.
    await expect(payments.field('status')).toHaveValue('');
    await expect(payments.field('method')).toHaveValue('Cash');
  });

  test('the gateway refuses what is missing, and names it', async ({ request }) => {
    for (const [path, field] of [
      ['orders', 'order_id'],
      ['payments', 'status'],
      ['deliveries', 'delivery_id'],
    ] as const) {
      const answer = await request.post(`/api/${path}`, { data: {} });
      expect(answer.status(), path).toBe(422);
      expect(((await answer.json()) as { field: string }).field).toBe(field);
    }
  });

  test('an order is not written to the console', async ({ page, request }) => {
    const orders = new Orders(page);
    const messages = collectOrders(orders);
    await orders.open('orders');
    const order = { order_id: 'o-real', product: 'Pain', amount: 1.2 };
    expect((await request.post('/api/orders', { data: order })).status()).toBe(201);
    await expect(orders.row('o-real')).toBeVisible();
    expect(messages).toEqual([]);
  });

  test('auto-generate and the badge end when the gateway no longer makes sales up', async ({ page, simulate }) => {
    await simulate({ invent: true });
    const orders = new Orders(page);
    await orders.open('orders');
    await expect(badge(orders)).toBeVisible();
    await orders.auto().click();
    await expect(orders.auto()).toHaveText('Arrêter');
    await simulate({ invent: false });
    await expect(orders.auto()).toHaveCount(0);
    await expect(badge(orders)).toHaveCount(0);
    await simulate({ invent: true });
    await expect(orders.auto()).toHaveText('Créer en continu');
  });

  test('axe finds no violation in the form', async ({ page }) => {
    const payments = new Payments(page);
    await payments.open('payments');
    await payments.send().click();
    await expect(page.locator('#wrong-status')).toBeVisible();
    expect(await findViolations(payments)).toEqual([]);
  });
});

test.describe('where the gateway makes up sales', () => {
  test('a badge says so on every page, and explains it to a finger and to a keyboard', async ({ page }) => {
    const app = new Dashboard(page);
    await app.open('dashboard');
    const explanation = page.getByTestId('demo-explanation');
    await expect(explanation).toBeHidden();
    await badge(app).focus();
    await page.keyboard.press('Enter');
    await expect(explanation).toContainText('on peut inventer des ventes');
    await page.keyboard.press('Escape');
    await expect(explanation).toBeHidden();
    await expect(badge(app)).toHaveAttribute('title', /on peut inventer des ventes/);
    for (const name of ['orders', 'payments', 'deliveries', 'gateway'] as const) {
      await app.go(name);
      await expect(badge(app)).toBeVisible();
    }
  });

  test('each new order is written to the console', async ({ page, request }) => {
    const orders = new Orders(page);
    const messages = collectOrders(orders);
    await orders.open('payments');
    await expect(badge(orders)).toBeVisible();
    await request.post('/api/orders', { data: { order_id: `o-shown-${Date.now()}`, product: 'Pain', amount: 1.2 } });
    await expect.poll(() => messages.length).toBeGreaterThan(0);
    expect(messages[0]).toMatch(/^new_order received: \{/);
  });

  test('the console has nothing that the role may not see', SIMULATOR_ONLY, async ({ page, simulate, browser }) => {
    await simulate({ identity: 'staff' });
    const app = new Identity(page);
    const seen: unknown[] = [];
    page.on('console', (message) => {
      if (message.text().startsWith('new_order received:')) {
        void message
          .args()[1]
          ?.jsonValue()
          .then((order: unknown) => seen.push(order));
      }
    });
    await app.openAs('viewer', '/orders');
    await expect(page.getByTestId('demo-badge')).toBeVisible();
    const other = await browser.newContext();
    const cashier = new Identity(await other.newPage());
    await cashier.openAs('cashier', new URL('/orders', page.url()).href);
    await new Orders(cashier.page).create().click();
    await expect.poll(() => seen.length).toBeGreaterThan(0);
    expect(seen[0]).toMatchObject({ customer_email: null, address: null });
    await other.close();
  });
});

for (const [language, colorScheme] of LOOKS) {
  test.describe(`in ${language}, ${colorScheme}`, SIMULATOR_ONLY, () => {
    test.use({ colorScheme, locale: language === 'fr' ? 'fr-FR' : 'en-GB', viewport: { width: 320, height: 640 } });

    test('axe finds no violation with the open explanation, and the header fits at 320 pixels', async ({ page }) => {
      const app = new App(page);
      await app.open('orders');
      await badge(app).click();
      await expect(page.getByTestId('demo-explanation')).toBeVisible();
      expect(await findViolations(app)).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
      const edges = await page.locator('header.top').evaluate((header) =>
        ['.brand > .title', '[data-testid=demo-badge] .face', 'fieldset', '.theme'].map((selector) => {
          const { left, right } = [...header.querySelectorAll(selector)].at(-1)!.getBoundingClientRect();
          return [Math.round(left), Math.round(right)] as const;
        }),
      );
      for (let i = 1; i < edges.length; i += 1)
        expect(edges[i]![0], String(edges)).toBeGreaterThanOrEqual(edges[i - 1]![1]);
    });
  });
}
