/** The page through what happens to a connection and a browser. */
import { App, Orders, PAGES } from '../pages/app';
import { expect, test } from './simulator';

test('the gateway goes and comes back: the page says so, and recovers without a reload', async ({ page, simulate, request }) => {
  const orders = new Orders(page);
  await orders.open('orders');
  await page.evaluate(() => Object.assign(window, { here: true }));
  await simulate({ away: 2 });
  await expect(orders.bar).toContainText('Passerelle injoignable depuis');
  await orders.create().click();
  await expect(orders.toasts).toContainText('injoignable');
  await expect(orders.bar).toHaveAttribute('data-tone', 'good', { timeout: 10_000 });
  const made = (await (await request.post('/api/orders', { data: {} })).json()) as { order_id: string };
  await expect(orders.row(made.order_id)).toHaveCount(1);
  expect(await page.evaluate(() => 'here' in window)).toBe(true);
});

test('two tabs see the same', async ({ page, context, simulate }) => {
  const second = await context.newPage();
  const [one, two] = [new Orders(page), new Orders(second)];
  await one.open('orders');
  await two.open('orders');
  await simulate({ rate: 20 });
  await page.waitForTimeout(1000);
  await simulate({ rate: 0 });
  const ids = (o: Orders) => o.rows().evaluateAll((rows) => rows.map((r) => (r as HTMLElement).dataset.id));
  await expect(async () => expect(await ids(one)).toEqual(await ids(two))).toPass();
});

test('a journal that is full is said, not hidden', async ({ page, simulate }) => {
  const orders = new Orders(page);
  await orders.open('orders');
  await simulate({ refusing: true });
  await orders.create().click();
  await expect(orders.toasts).toContainText('Le journal est plein');
});

test.describe('languages and themes', () => {
  test('by the browser, then by the switch, and kept', async ({ page }) => {
    const app = new App(page);
    await app.open('orders');
    await expect(page.locator('h1')).toHaveText('Commandes');
    await app.speak('en');
    await expect(page.locator('h1')).toHaveText('Orders');
    await expect(app.bar).toContainText('Kafka is reached');
    await expect(page.locator('tbody tr td.num').first()).toContainText('€');
    await page.reload();
    await expect(page.locator('html')).toHaveAttribute('lang', 'en');
  });

  test('a theme is by the system until it is chosen', async ({ page }) => {
    const app = new App(page);
    await page.emulateMedia({ colorScheme: 'dark' });
    await app.open('dashboard');
    const html = page.locator('html');
    await expect(html).toHaveAttribute('data-theme', 'dark');
    await page.emulateMedia({ colorScheme: 'light' });
    await expect(html).toHaveAttribute('data-theme', 'light');
    await page.getByTestId('theme').click();
    await page.getByTestId('theme').click();
    await expect(html).toHaveAttribute('data-theme', 'dark');
    await page.reload();
    await expect(html).toHaveAttribute('data-theme', 'dark');
  });

  test.describe('a browser that speaks neither', () => {
    test.use({ locale: 'de-DE' });
    test('gets English', async ({ page }) => {
      await new App(page).open('orders');
      await expect(page.locator('h1')).toHaveText('Orders');
    });
  });
});

test('nothing on the page breaks the policy, and the console stays silent', async ({ page }) => {
  const said: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) said.push(message.text());
  });
  page.on('pageerror', (error) => said.push(error.message));
  const app = new App(page);
  for (const name of PAGES) await app.open(name);
  expect(said).toEqual([]);
});

test('installed, it opens without the gateway and says so', async ({ page, simulate }) => {
  const app = new App(page);
  await app.open('dashboard');
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.reload();
  await simulate({ away: 4 });
  await page.goto('/gateway');
  await expect(app.bar).toContainText('Passerelle injoignable');
  await expect(page.locator('h1')).toHaveText('Passerelle');
  await expect(app.bar).toHaveAttribute('data-tone', 'good', { timeout: 15_000 });
});
