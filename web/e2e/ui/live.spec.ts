/** The pages while the connection, the clock or the browser changes. */
import { CSP } from '../../dev/csp';
import { CLOCK } from '../../playwright.config';
import { App, Gateway, Orders, PAGES } from '../pages/app';
import { expect, SIMULATOR_ONLY, test } from './fixtures';

/** Marks the document, so that a reload can be noticed. */
const markDocument = (app: App) => app.page.evaluate(() => Object.assign(window, { isMarked: true }));
const isMarked = (app: App) => app.page.evaluate(() => 'isMarked' in window);

test(
  'the page says that the gateway is unreachable, and recovers without a reload',
  SIMULATOR_ONLY,
  async ({ page, simulate, request }) => {
    const orders = new Orders(page);
    await orders.open('orders');
    await markDocument(orders);
    await simulate({ unreachable: true });
    await expect(orders.bar).toContainText('n’est plus reliée à la passerelle depuis');
    await orders.create().click();
    await expect(orders.toasts).toContainText('injoignable');
    await simulate({ unreachable: false });
    await expect(orders.bar).toHaveAttribute('data-tone', 'good', { timeout: 10_000 });
    const created = (await (await request.post('/api/orders', { data: {} })).json()) as { order_id: string };
    await expect(orders.row(created.order_id)).toHaveCount(1);
    expect(await isMarked(orders)).toBe(true);
  },
);

test(
  'the gateway page claims nothing about the present while the gateway is unreachable',
  SIMULATOR_ONLY,
  async ({ page, simulate }) => {
    const gateway = new Gateway(page);
    await gateway.open('gateway');
    await expect(page.getByTestId('as-of')).toHaveCount(0);
    await expect(gateway.kafkaDown()).toBeEnabled();
    await simulate({ unreachable: true });
    await expect(page.getByTestId('as-of')).toContainText('État à 16:40');
    await expect(gateway.kafkaDown()).toBeDisabled();
    await expect(gateway.health()).toHaveAttribute('data-tone', 'bad');
    await expect(gateway.health()).not.toContainText('en ordre');
    const since = await gateway.link('Kafka').locator('.state').innerText();
    await page.clock.setFixedTime('2026-03-16T17:10:00Z');
    await expect(page.locator('header time')).toHaveText('18:10');
    expect(await gateway.link('Kafka').locator('.state').innerText()).toBe(since);
    await simulate({ unreachable: false });
    await expect(gateway.kafkaDown()).toBeEnabled();
    await expect(page.getByTestId('as-of')).toHaveCount(0);
  },
);

test('the page notices at once that a network cable is pulled, and that it is back', async ({ page, context }) => {
  const app = new App(page);
  await app.open('orders');
  await context.setOffline(true);
  await expect(app.bar).toContainText('n’est plus reliée à la passerelle', { timeout: 2000 });
  await context.setOffline(false);
  await expect(app.bar).toHaveAttribute('data-tone', 'good');
});

test.describe('on a phone', () => {
  test.use({ viewport: { width: 390, height: 844 } });

  test('the status bar has room for the reason of a problem', SIMULATOR_ONLY, async ({ page, simulate }) => {
    const app = new App(page);
    const isTextWhole = () =>
      app.bar
        .locator('strong')
        .evaluate(
          (text) =>
            text.getBoundingClientRect().bottom <=
            (text.parentElement as HTMLElement).getBoundingClientRect().bottom + 1,
        );
    await app.open('orders');
    await simulate({ mqtt: false });
    await expect(app.bar).toContainText('Serveur MQTT injoignable');
    expect(await isTextWhole()).toBe(true);
    await simulate({ refusing: true });
    await expect(app.bar).toHaveAttribute('data-tone', 'bad');
    expect(await isTextWhole()).toBe(true);
    await simulate({ unreachable: true });
    await expect(app.bar).toContainText('n’est plus reliée à la passerelle');
    expect(await isTextWhole()).toBe(true);
  });
});

test(
  'after midnight, the times of earlier sales say "yesterday" and fit their column',
  SIMULATOR_ONLY,
  async ({ page }) => {
    const app = new App(page);
    for (const [language, yesterday] of [
      ['fr', 'hier'],
      ['en', 'yesterday'],
    ] as const) {
      for (const name of ['dashboard', 'orders', 'payments'] as const) {
        await page.clock.setFixedTime(CLOCK);
        await app.open(name);
        await app.speak(language);
        const time = page.locator('td.time').first();
        await expect(time).toHaveText(/^\d\d:\d\d:\d\d$/);
        await page.clock.setFixedTime('2026-03-17T00:01:00+01:00');
        await expect(time).toContainText(yesterday);
        expect(await time.evaluate((cell) => cell.scrollWidth <= cell.clientWidth), `${name} ${language}`).toBe(true);
      }
    }
  },
);

test(
  'after an update of the gateway, the page reloads once nothing is open',
  SIMULATOR_ONLY,
  async ({ page, simulate }) => {
    const orders = new Orders(page);
    await orders.open('orders');
    await markDocument(orders);
    await orders.rows().first().getByRole('button').click();
    await simulate({ version: '0.4.0' });
    await expect(orders.toasts).toContainText('se rechargera');
    // The page checks whether to reload at each tick of its clock.
    await page.clock.setFixedTime('2026-03-16T15:41:00Z');
    await expect(page.locator('header time')).toHaveText('16:41');
    expect(await isMarked(orders)).toBe(true);
    // Not by polling the page: evaluating a script during a reload fails.
    const reloaded = page.waitForEvent('load');
    await orders.rows().first().getByRole('button').click();
    await reloaded;
    expect(await isMarked(orders)).toBe(false);
    await expect(orders.rows()).toHaveCount(50);
  },
);

test('if the gateway no longer has a file of the page, the page reloads once', SIMULATOR_ONLY, async ({ page }) => {
  let loads = 0;
  // Not `load` events: a page that reloads before its first `load` event never fires it.
  page.on('request', (request) => (loads += Number(request.isNavigationRequest())));
  let isMissing = true;
  await page.route('**/assets/chartjs-*.js', (route) => {
    const answer = isMissing ? route.fulfill({ status: 404 }) : route.continue();
    isMissing = false;
    return answer;
  });
  const app = new App(page);
  await app.open('dashboard');
  await expect.poll(() => loads).toBe(2);
  await app.waitForCharts();
});

test('a screen reader hears a new kind of status, not every new number', async ({ page, request }) => {
  const app = new App(page);
  await app.open('orders');
  const announcement = page.locator('.top [role=status]');
  await request.post('/api/demo/kafka', { data: { up: false } });
  await expect(announcement).toContainText('Hors ligne');
  const first = await announcement.innerText();
  for (let i = 0; i < 3; i += 1) await request.post('/api/orders', { data: {} });
  await expect(app.bar).toContainText('3 événements');
  expect(await announcement.innerText()).toBe(first);
});

test('two tabs show the same orders', async ({ page, context, request }) => {
  const tabs = [new Orders(page), new Orders(await context.newPage())];
  for (const tab of tabs) await tab.open('orders');
  const created: string[] = [];
  for (let i = 0; i < 20; i += 1) {
    const order = (await (await request.post('/api/orders', { data: {} })).json()) as { order_id: string };
    created.unshift(order.order_id);
  }
  for (const tab of tabs) await expect.poll(async () => (await tab.shownIds()).slice(0, 20)).toEqual(created);
  const shown = await tabs[0]!.shownIds();
  await expect.poll(() => tabs[1]!.shownIds()).toEqual(shown);
});

test(
  'the demo’s buttons show at once that Kafka is down or up, although the gateway notices it later',
  SIMULATOR_ONLY,
  async ({ page }) => {
    const gateway = new Gateway(page);
    await gateway.open('gateway');
    // This gateway never notices.
    await page.route('**/api/demo/kafka', (route) => route.fulfill({ status: 204 }));
    await gateway.kafkaDown().click();
    await expect(gateway.bar).toHaveAttribute('data-tone', 'wait', { timeout: 1000 });
    await expect(gateway.link('Kafka')).toHaveAttribute('data-state', 'down');
    await page.request.post('/api/orders', { data: {} });
    await expect(gateway.bar).toContainText('Hors ligne');
    await gateway.kafkaUp().click();
    await expect(gateway.bar).toHaveAttribute('data-tone', 'good', { timeout: 1000 });
  },
);

test('the page says that the journal is full', SIMULATOR_ONLY, async ({ page, simulate }) => {
  const orders = new Orders(page);
  await orders.open('orders');
  await simulate({ refusing: true });
  await orders.create().click();
  await expect(orders.toasts).toContainText('Le journal est plein');
});

test.describe('languages and themes', () => {
  test(
    'the language follows the browser until the reader chooses one, and is kept',
    SIMULATOR_ONLY,
    async ({ page }) => {
      const app = new App(page);
      await app.open('orders');
      await expect(page.locator('h1')).toHaveText('Commandes');
      await app.speak('en');
      await expect(page.locator('h1')).toHaveText('Orders');
      await expect(app.bar).toContainText('Connected to Kafka');
      await expect(page.locator('tbody tr td.num').first()).toContainText('€');
      await page.reload();
      await expect(page.locator('html')).toHaveAttribute('lang', 'en');
    },
  );

  test('the theme follows the system until the reader chooses one, and is kept', SIMULATOR_ONLY, async ({ page }) => {
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

  test.describe('in a browser without either language', SIMULATOR_ONLY, () => {
    test.use({ locale: 'de-DE' });
    test('the pages are in English', async ({ page }) => {
      await new App(page).open('orders');
      await expect(page.locator('h1')).toHaveText('Orders');
    });
  });
});

test('no page shows English to a French reader', async ({ page }) => {
  const app = new App(page);
  for (const name of PAGES) {
    await app.open(name);
    // Products, names and ids come from the tills; the gateway's own English is marked as such.
    const text = await page.evaluate(() => {
      document.querySelectorAll('[lang=en], bdi').forEach((element) => element.remove());
      return document.body.innerText;
    });
    expect(text, name).not.toMatch(/\b(more|the|and|order|orders|delivery|since|is|are|not|with|of|counter)\b/i);
  }
  await app.open('orders');
  await expect(page.locator('td.product').filter({ hasText: /\+ \d+ autres?$/ })).not.toHaveCount(0);
  await expect(page.locator('main')).not.toContainText(/\+ \d+ more/);
  // Orders from other gateways may have no lines; their summary then comes from the till.
  const data = { order_id: 'o-no-lines', product: 'Steak haché 2 × 125 g + 14 more', lines: [], amount: 5 };
  await page.request.post('/api/orders', { data });
  await expect(page.locator('tr[data-id="o-no-lines"]')).toContainText('Steak haché 2 × 125 g + 14 autres');
});

test.describe('with its service worker', () => {
  // Playwright writes to the console when it blocks a service worker.
  test.use({ serviceWorkers: 'allow' });

  test('no page violates the content security policy or writes to the console', async ({ page }) => {
    const messages: string[] = [];
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) messages.push(message.text());
    });
    page.on('pageerror', (error) => messages.push(error.message));
    const app = new App(page);
    for (const name of PAGES) await app.open(name);
    expect(messages).toEqual([]);
  });
});

test('the pages are tested under the policy that the gateway sends', async ({ request }) => {
  const gateway = process.env.COMPTOIR_GATEWAY_URL ?? '';
  const { 'content-security-policy': policy } = (await request.get(`${gateway}/`)).headers();
  expect(policy).toBe(CSP);
});

test.describe('installed', () => {
  test.use({ serviceWorkers: 'allow' });

  test('an installed page opens without the gateway and says so', SIMULATOR_ONLY, async ({ page, simulate }) => {
    const app = new App(page);
    await app.open('dashboard');
    await page.evaluate(() => navigator.serviceWorker.ready);
    await page.reload();
    await simulate({ unreachable: true });
    await page.goto('/gateway');
    await expect(app.bar).toContainText('n’est plus reliée à la passerelle');
    await expect(page.locator('h1')).toHaveText('Passerelle');
    await simulate({ unreachable: false });
    await expect(app.bar).toHaveAttribute('data-tone', 'good', { timeout: 15_000 });
  });
});
