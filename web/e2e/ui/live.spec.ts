/** The page through what happens to a connection and a browser. */
import { App, Gateway, Orders, PAGES } from '../pages/app';
import { CLOCK } from '../../playwright.config';
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

test('the gateway page claims nothing about now while the gateway is away', async ({ page, simulate }) => {
  const gateway = new Gateway(page);
  await gateway.open('gateway');
  await expect(page.getByTestId('as-of')).toHaveCount(0);
  await expect(gateway.kafkaDown()).toBeEnabled();
  await simulate({ away: 4 });
  await expect(page.getByTestId('as-of')).toContainText('État de 16:40');
  await expect(gateway.kafkaDown()).toBeDisabled();
  const since = await gateway.link('Kafka').locator('.state').innerText();
  await page.clock.setFixedTime('2026-03-16T17:10:00Z');
  await expect(page.locator('header time')).toHaveText('18:10');
  expect(await gateway.link('Kafka').locator('.state').innerText()).toBe(since);
  await expect(gateway.kafkaDown()).toBeEnabled();
  await expect(page.getByTestId('as-of')).toHaveCount(0);
});

test('a cable that is pulled is seen at once, and so is one that is back', async ({ page, context }) => {
  const app = new App(page);
  await app.open('orders');
  await context.setOffline(true);
  await expect(app.bar).toContainText('Passerelle injoignable', { timeout: 2000 });
  await context.setOffline(false);
  await expect(app.bar).toHaveAttribute('data-tone', 'good');
});

test.describe('on a phone', () => {
  test.use({ viewport: { width: 390, height: 844 } });

  test('the bar has room for why it is amber or red', async ({ page, simulate }) => {
    const app = new App(page);
    const whole = () => app.bar.locator('strong').evaluate((s) => s.getBoundingClientRect().bottom <= (s.parentElement as HTMLElement).getBoundingClientRect().bottom + 1);
    await app.open('orders');
    await simulate({ mqtt: false });
    await expect(app.bar).toContainText('Broker MQTT injoignable');
    expect(await whole()).toBe(true);
    await simulate({ refusing: true });
    await expect(app.bar).toHaveAttribute('data-tone', 'bad');
    expect(await whole()).toBe(true);
    await simulate({ away: 2 });
    await expect(app.bar).toContainText('Passerelle injoignable');
    expect(await whole()).toBe(true);
  });
});

test('a minute after midnight last night’s sales are yesterday’s, and fit their column', async ({ page }) => {
  const app = new App(page);
  for (const [lang, word] of [['fr', 'hier'], ['en', 'yesterday']] as const) {
    for (const name of ['dashboard', 'orders', 'payments'] as const) {
      await page.clock.setFixedTime(CLOCK);
      await app.open(name);
      await app.speak(lang);
      const time = page.locator('td.time').first();
      await expect(time).toHaveText(/^\d\d:\d\d:\d\d$/);
      await page.clock.setFixedTime('2026-03-17T00:01:00+01:00');
      await expect(time).toContainText(word);
      expect(await time.evaluate((t) => t.scrollWidth <= t.clientWidth), `${name} ${lang}`).toBe(true);
    }
  }
});

test('after an update the page renews itself, once nothing is open', async ({ page, simulate }) => {
  const orders = new Orders(page);
  await orders.open('orders');
  await page.evaluate(() => Object.assign(window, { here: true }));
  const here = () => page.evaluate(() => 'here' in window);
  await orders.rows().first().getByRole('button').click();
  await simulate({ version: '0.4.0' });
  await expect(orders.toasts).toContainText('se renouvelle');
  // The clock that would do it has ticked.
  await page.clock.setFixedTime('2026-03-16T15:41:00Z');
  await expect(page.locator('header time')).toHaveText('16:41');
  expect(await here()).toBe(true);
  // Not asked of the page: a question that a renewal interrupts is an error.
  const renewed = page.waitForEvent('load');
  await orders.rows().first().getByRole('button').click();
  await renewed;
  expect(await here()).toBe(false);
  await expect(orders.rows()).toHaveCount(50);
});

test('a part of the page that the gateway no longer has is got by loading anew, once', async ({ browser }) => {
  // What a service worker asks for passes no route, and whether it is there yet is a matter of the moment.
  const page = await browser.newPage({ serviceWorkers: 'block' });
  let loads = 0;
  // Not the `load` events: who loads anew before the first one never has it.
  page.on('request', (request) => (loads += Number(request.isNavigationRequest())));
  let missing = true;
  await page.route('**/assets/chartjs-*.js', (route) => {
    const answer = missing ? route.fulfill({ status: 404 }) : route.continue();
    missing = false;
    return answer;
  });
  await new App(page).open('dashboard');
  await expect.poll(() => loads).toBe(2);
  // Chart.js gives a canvas its style when it draws.
  await expect(page.locator('canvas').first()).toHaveAttribute('style', /block/);
});

test('the bar is read out when its kind changes, not with each number', async ({ page, request }) => {
  const app = new App(page);
  await app.open('orders');
  const spoken = page.locator('.top [role=status]');
  await request.post('/api/demo/kafka', { data: { up: false } });
  await expect(spoken).toContainText('Hors ligne');
  const first = await spoken.innerText();
  for (let i = 0; i < 3; i += 1) await request.post('/api/orders', { data: {} });
  await expect(app.bar).toContainText('3 événements');
  expect(await spoken.innerText()).toBe(first);
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
