/** The shop's day: its figures, other days, refreshing, failures, print and file. */
import { readFile } from 'node:fs/promises';
import type { APIRequestContext, Page } from '@playwright/test';
import { PROBLEMS, type ProblemType, type ShopDay } from '../../src/lib/api/types';
import { findViolations } from '../pages/axe';
import { Day } from '../pages/day';
import { Identity } from '../pages/identity';
import { expect, LOOKS, SIMULATOR_ONLY, test } from './fixtures';

/** The day of the tests' clock is Monday 16 March 2026. The simulated shop is closed on Sundays. */
const SATURDAY = '2026-03-14';
const SUNDAY = '2026-03-15';

const readDay = async (request: APIRequestContext, name: string) =>
  (await (await request.get(`/api/days/${name}`)).json()) as ShopDay;
const money = (amount: number) =>
  new Intl.NumberFormat('fr-FR', { style: 'currency', currency: 'EUR' }).format(amount).replace(/\s/g, ' ');
const plain = async (text: Promise<string>) => (await text).replace(/\s/g, ' ');

/** Answers with a day that the simulated shop does not have. */
async function answerWith(page: Page, change: (day: ShopDay) => ShopDay): Promise<void> {
  const day = await readDay(page.request, SATURDAY);
  await page.route('**/api/days/*', (route) => route.fulfill({ json: change(day) }));
}

async function fail(page: Page, type: ProblemType): Promise<void> {
  await page.route('**/api/days/*', (route) =>
    route.fulfill({
      status: PROBLEMS[type].status,
      contentType: 'application/problem+json',
      body: JSON.stringify({ type, ...PROBLEMS[type], detail: 'x' }),
    }),
  );
}

test('today is in the navigation, with the figures of the gateway', async ({ page, request }) => {
  const app = new Day(page);
  await app.open('orders');
  await app.go('day');
  const day = await readDay(request, 'today');
  await expect.poll(() => plain(app.net.innerText())).toBe(money(day.takings.net));
  await expect(app.fact('payments')).toContainText(String(day.takings.payments));
  await expect(app.rows('methods')).toHaveCount(day.by_method.length);
  await expect(app.rows('tills')).toHaveCount(day.by_till.length);
  await expect(app.readAt).toContainText('La page s’actualise toute seule');
  await expect(app.next).toHaveAttribute('aria-disabled', 'true');
});

test('every figure of a day is on the page', SIMULATOR_ONLY, async ({ page, request }) => {
  const app = new Day(page);
  await app.openDay(SATURDAY);
  const day = await readDay(request, SATURDAY);
  await expect(app.title).toHaveText('samedi 14 mars 2026');
  expect(await plain(app.net.innerText())).toBe(money(day.takings.net));
  const { takings, orders } = day;
  for (const [name, count, amount] of [
    ['payments', takings.payments, takings.gross],
    ['refunds', takings.refunds, -takings.refunded],
    ['orders', orders.orders, orders.amount],
    ['cancelled', orders.cancelled, orders.cancelled_amount],
  ] as const) {
    expect(await plain(app.fact(name).innerText()), name).toBe(`${count} ${money(amount)}`);
  }
  await expect(app.fact('failed')).toContainText(String(takings.failed));
  const [first] = day.by_method;
  const row = await plain(app.rows('methods').first().innerText());
  expect(row).toContain(`${first?.payments} ${money(first?.gross ?? 0)}`);
  expect(row).toContain(money(first?.net ?? 0));
  expect(await plain(app.panel('methods').locator('tfoot').innerText())).toContain(money(takings.net));
  await expect(app.rows('vat')).toHaveCount(day.by_vat_rate.length);
  await expect(app.rows('vat').first()).toContainText(/5,5\s%/);
  await expect(app.rows('hours').first()).toContainText('06:00');
  await expect(app.rows('products')).toHaveCount(13);
  await expect(app.rows('products').last()).toContainText(`${day.by_product.length - 12} autres articles`);
  await expect(app.panel('currencies')).toHaveCount(0);
});

test('another day is chosen by its buttons and its date, and the address has it', SIMULATOR_ONLY, async ({ page }) => {
  const app = new Day(page);
  await app.openDay(null);
  await app.previous.click();
  await expect(page).toHaveURL(/\/day\/2026-03-15$/);
  await expect(app.quiet).toContainText('Aucune vente ce jour-là');
  await expect(app.previous).toBeFocused();
  await app.previous.click();
  await expect(app.title).toHaveText('samedi 14 mars 2026');
  await expect(page.getByRole('status').filter({ hasText: 'Encaissé net' })).toContainText('samedi 14 mars 2026');
  await page.reload();
  await expect(app.title).toHaveText('samedi 14 mars 2026');
  await expect(app.readAt).not.toContainText('actualise');
  await page.goBack();
  await expect(app.title).toHaveText('dimanche 15 mars 2026');
  await app.next.click();
  await expect(page).toHaveURL(/\/day$/);
  await expect(app.title).toHaveText('lundi 16 mars 2026');
  await app.date.fill('2026-03-10');
  await expect(page).toHaveURL(/\/day\/2026-03-10$/);
  await expect(app.title).toHaveText('mardi 10 mars 2026');
  await app.toToday.click();
  await expect(page).toHaveURL(/\/day$/);
});

test('a date that is typed key by key opens one day, and the future none', SIMULATOR_ONLY, async ({ page }) => {
  const app = new Day(page);
  await app.openDay(null);
  await expect(app.date).toHaveAttribute('max', '2026-03-16');
  const asked: string[] = [];
  page.on('request', (request) => {
    const name = /\/api\/days\/(.+)$/.exec(request.url())?.[1];
    if (name !== undefined) asked.push(name);
  });
  await app.date.focus();
  // The browser's own date field, in the order of its language.
  await page.keyboard.type('03102026');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/\/day\/2026-03-10$/);
  await expect(app.title).toHaveText('mardi 10 mars 2026');
  expect(asked).toEqual(['2026-03-10']);
  await app.date.fill('2026-04-01');
  await app.date.blur();
  await expect(app.date).toHaveValue('2026-03-10');
  await expect(page).toHaveURL(/\/day\/2026-03-10$/);
});

test('an address with a wrong or a future day is explained', SIMULATOR_ONLY, async ({ page }) => {
  const app = new Day(page);
  for (const date of ['2026-02-30', 'hier']) {
    await app.openDay(date);
    await expect(page.locator('main')).toContainText('Ce jour n’existe pas');
    await app.toToday.click();
    await expect(app.net).toBeVisible();
  }
  await app.openDay('2026-03-20');
  await expect(page.locator('main')).toContainText('Ce jour n’est pas encore arrivé');
  await app.previous.click();
  await expect(page).toHaveURL(/\/day$/);
});

test(
  'a day without sales says so, and today’s first sale appears by itself',
  SIMULATOR_ONLY,
  async ({ page, simulate, request }) => {
    await simulate({ empty: true });
    const app = new Day(page);
    await app.openDay(null);
    await expect(app.quiet).toContainText('Aucune vente pour l’instant aujourd’hui');
    await request.post('/api/payments', { data: { order_id: 'o-1', amount: 12.5, method: 'Cash', status: 'SUCCESS' } });
    await expect(app.net).toHaveText(/^12,50\s€$/);
    await expect(app.panel('currencies')).toHaveCount(0);
  },
);

test(
  'what sales arrive is read at most every few seconds, and never while nobody looks',
  SIMULATOR_ONLY,
  async ({ page, simulate, request }) => {
    await page.addInitScript(() => {
      let isHidden = false;
      Object.defineProperty(document, 'hidden', { get: () => isHidden });
      Object.assign(window, {
        hide: (hidden: boolean) => {
          isHidden = hidden;
          document.dispatchEvent(new Event('visibilitychange'));
        },
      });
    });
    const hide = (hidden: boolean) =>
      page.evaluate((value) => (window as unknown as { hide: (hidden: boolean) => void }).hide(value), hidden);
    const reads: number[] = [];
    page.on('request', (sent) => {
      if (sent.url().includes('/api/days/')) reads.push(Date.now());
    });
    const app = new Day(page);
    await app.openDay(null);
    await simulate({ rate: 20 });
    await expect.poll(() => reads.length, { timeout: 20_000 }).toBeGreaterThan(2);
    const gaps = reads.slice(1).map((at, i) => at - (reads[i] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThan(3500);
    await hide(true);
    const before = reads.length;
    const sold = async () =>
      ((await (await request.get('/api/stats')).json()) as { total_orders: number }).total_orders;
    const soldBefore = await sold();
    // At 20 orders a second: longer than the interval between two reads.
    await expect.poll(sold, { timeout: 20_000 }).toBeGreaterThan(soldBefore + 120);
    expect(reads.length).toBe(before);
    await simulate({ rate: 0 });
    await hide(false);
    await expect.poll(() => reads.length).toBe(before + 1);
  },
);

test(
  'while the gateway is away, the figures stay, with their time and a way to retry',
  SIMULATOR_ONLY,
  async ({ page, simulate }) => {
    const app = new Day(page);
    await app.openDay(null);
    const net = await app.net.innerText();
    await simulate({ unreachable: true });
    await expect(app.stale).toContainText('Ces chiffres sont ceux de');
    await expect(app.stale).toContainText('16:40');
    await expect(app.net).toHaveText(net);
    await app.refresh.click();
    await expect(app.stale).toContainText('La passerelle est injoignable');
    await expect(app.net).toHaveText(net);
    await simulate({ unreachable: false });
    await expect(app.stale).toHaveCount(0);
    await expect(app.readAt).toBeVisible();
  },
);

test('a day that cannot be read is explained, and can be read again', SIMULATOR_ONLY, async ({ page }) => {
  const app = new Day(page);
  await fail(page, 'urn:comptoir:problem:read-failed');
  await app.openDay(SATURDAY);
  await expect(app.failure).toContainText('La passerelle ne peut pas lire son disque');
  await expect(app.print).toBeDisabled();
  await expect(app.file).toBeDisabled();
  await page.unroute('**/api/days/*');
  await app.refresh.click();
  await expect(app.net).toBeVisible();
  await expect(app.print).toBeEnabled();
});

test('a slow answer is asked for once, and never shown below another day', SIMULATOR_ONLY, async ({ page }) => {
  const app = new Day(page);
  await app.openDay(null);
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.route('**/api/days/2026-03-14', async (route) => {
    await held;
    await route.continue();
  });
  await app.date.fill(SATURDAY);
  await expect(app.title).toHaveText('samedi 14 mars 2026');
  await expect(page.locator('main [aria-busy]')).toBeVisible();
  await expect(app.net).toHaveCount(0);
  await app.next.click();
  await expect(app.quiet).toBeVisible();
  release();
  await expect(app.title).toHaveText('dimanche 15 mars 2026');
  await expect(app.quiet).toBeVisible();
});

test('products are searched, shown whole and shortened again', SIMULATOR_ONLY, async ({ page, request }) => {
  const app = new Day(page);
  await app.openDay(SATURDAY);
  const { by_product } = await readDay(request, SATURDAY);
  await app.allProducts.click();
  await expect(app.rows('products')).toHaveCount(by_product.length);
  await expect(app.allProducts).toHaveAttribute('aria-expanded', 'true');
  await app.allProducts.click();
  await expect(app.rows('products')).toHaveCount(13);
  await app.search.fill('the');
  await expect(app.rows('products').filter({ hasText: 'Thé vert' })).toHaveCount(1);
  await expect(app.rows('products').filter({ hasText: 'Théière' })).toHaveCount(1);
  await expect(page.getByRole('status').filter({ hasText: '2 articles trouvés' })).toHaveCount(1);
  await app.search.fill('rien de tel');
  await expect(app.panel('products')).toContainText('Aucun article trouvé');
});

test('weights, other products, other currencies and an incomplete day are shown', SIMULATOR_ONLY, async ({ page }) => {
  await answerWith(page, (day) => ({
    ...day,
    by_product: [{ product: 'Comté', unit: 'kg', quantity: 12.345, amount: 300 }],
    other_products: { products: 7, amount: 21 },
    by_vat_rate: [{ vat_rate: null, amount: 5, vat: null }],
    by_hour: [{ hour: '2026-03-14T08:00:00Z', payments: 1, net: -4 }],
    other_currencies: [{ currency: 'USD', net: 10 }],
    complete: false,
  }));
  const app = new Day(page);
  await app.openDay(SATURDAY);
  await expect(app.rows('products').first()).toContainText(/12,345\skg/);
  await expect(app.rows('products').last()).toContainText(/7 autres articles\s*21,00\s€/);
  await expect(app.rows('vat').first()).toContainText('Non indiqué');
  await expect(app.rows('hours').first()).toContainText(/-4,00\s€/);
  await expect(app.rows('currencies')).toContainText(/10,00\s\$US/);
  await expect(page.getByTestId('day-incomplete')).toBeVisible();
});

test.describe('in another time zone', SIMULATOR_ONLY, () => {
  test.use({ timezoneId: 'America/New_York' });

  test('times are the shop’s, and the page says so', async ({ page, request }) => {
    const app = new Day(page);
    await app.openDay(SATURDAY);
    await expect(page.getByTestId('day-zone')).toContainText('Europe/Paris');
    await expect(app.rows('hours').first()).toContainText('06:00');
    await expect(app.readAt).toContainText('16:40');
    const { from } = await readDay(request, SATURDAY);
    expect(from).toBe('2026-03-13T23:00:00.000Z');
  });
});

test('the file has the figures, as a French spreadsheet expects them', SIMULATOR_ONLY, async ({ page, request }) => {
  const app = new Day(page);
  await app.openDay(SATURDAY);
  const started = page.waitForEvent('download');
  await app.file.click();
  const download = await started;
  expect(download.suggestedFilename()).toBe(`day_${SATURDAY}.csv`);
  const text = await readFile(await download.path(), 'utf8');
  const { takings } = await readDay(request, SATURDAY);
  expect(text).toMatch(/^\ufeffdate;section;name;/);
  expect(text).toContain(`${SATURDAY};takings;net;;;;${String(takings.net).replace('.', ',')};;EUR\r\n`);
  expect(text).toContain(`${SATURDAY};method;Espèces;`);
});

test.describe('on paper', SIMULATOR_ONLY, () => {
  const countPages = async (page: Page) => {
    const pdf = (await page.pdf({ preferCSSPageSize: true })).toString('latin1');
    return [(pdf.match(/\/Type\s*\/Page\b/g) ?? []).length, /\/MediaBox \[0 0 (\d+)/.exec(pdf)?.[1]];
  };

  test('a day is one page of A4, with the shop and the time of printing, and nothing else', async ({ page }) => {
    await page.addInitScript(() => Object.assign(window, { print: () => (document.title = 'printed') }));
    const app = new Day(page);
    await app.openDay(SATURDAY);
    await expect(app.paper).toBeHidden();
    await app.print.click();
    await expect(page).toHaveTitle('printed');
    await page.emulateMedia({ media: 'print' });
    await expect(app.paper).toBeVisible();
    await expect(app.paper).toContainText('paris-1');
    await expect(app.paper).toContainText('samedi 14 mars 2026');
    await expect(app.paper).toContainText(/Imprimé le 16 mars 2026.*16:40/);
    await expect(page.locator('main')).toBeHidden();
    await expect(page.locator('header.top')).toBeHidden();
    expect(await countPages(page)).toEqual([1, '594']);
    // Another page prints as ever.
    await page.emulateMedia({ media: null });
    await app.go('orders');
    await expect(app.paper).toHaveCount(0);
    await page.emulateMedia({ media: 'print' });
    await expect(page.locator('main')).toBeVisible();
  });

  test('the busiest day is one page, too', async ({ page }) => {
    const row = { payments: 1234, gross: 123_456.78, refunds: 12, refunded: 1234.5, net: 122_222.28, failed: 1 };
    const many = <T>(count: number, create: (i: number) => T) => Array.from({ length: count }, (_, i) => create(i));
    await answerWith(page, (day) => ({
      ...day,
      is_today: true,
      complete: false,
      by_method: many(5, (i) => ({
        method: (['Cash', 'PayPal', 'Debit Card', 'Credit Card', 'Bank Transfer'] as const)[i % 5]!,
        ...row,
      })),
      by_till: many(60, (i) => ({ device: `a-till-with-a-long-name-number-${i}`, ...row })),
      by_vat_rate: many(6, (i) => ({ vat_rate: i, amount: 123_456.78, vat: 1234.56 })),
      by_product: many(200, (i) => ({
        product: `Un article dont le nom est très, très long ${i}`,
        quantity: 3,
        amount: 1e5,
      })),
      by_hour: many(25, (i) => ({
        hour: new Date(Date.UTC(2026, 2, 14, i)).toISOString(),
        payments: 55,
        net: 12_345.67,
      })),
      other_currencies: ['USD', 'GBP', 'CHF', 'JPY', 'SEK'].map((currency) => ({ currency, net: 10 })),
      takings: { ...row, failed: 12_345 },
      orders: { orders: 12_345, amount: 1_234_567.89, cancelled: 123, cancelled_amount: 12_345.67 },
    }));
    const app = new Day(page);
    await app.openDay(SATURDAY);
    expect(await countPages(page)).toEqual([1, '594']);
    await page.setViewportSize({ width: 320, height: 640 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
  });
});

test('a viewer neither sees the page in the navigation nor opens it', SIMULATOR_ONLY, async ({ page, simulate }) => {
  await simulate({ identity: 'staff' });
  const app = new Identity(page);
  const link = page.locator('nav a[href="/day"]');
  await app.openAs('viewer', '/orders');
  await expect(link).toHaveCount(0);
  await page.goto('/day');
  await expect(page.getByText('Vous n’avez pas accès à cette page')).toBeVisible();
  await expect(new Day(page).net).toHaveCount(0);
  await app.openAs('cashier', '/day');
  await expect(link).toHaveCount(1);
  await expect(new Day(page).net).toBeVisible();
});

test('the day is this shop’s, whichever shop the other pages show', SIMULATOR_ONLY, async ({ page, simulate }) => {
  await simulate({ otherShops: ['lyon-2'] });
  const app = new Day(page);
  await app.open('day', 'lyon-2');
  await expect(page.locator('main')).toContainText('Voici la journée du magasin paris-1, et non celle de lyon-2.');
  await app.previous.click();
  await expect(page).toHaveURL(/\/day\/2026-03-15\?store=lyon-2$/);
});

test('everything works with the keyboard', SIMULATOR_ONLY, async ({ page }) => {
  const app = new Day(page);
  await app.openDay(SATURDAY);
  await app.previous.focus();
  await page.keyboard.press('Enter');
  await expect(app.title).toHaveText('vendredi 13 mars 2026');
  await expect(app.previous).toBeFocused();
  await app.next.focus();
  await page.keyboard.press('Enter');
  await expect(app.title).toHaveText('samedi 14 mars 2026');
  await expect(app.net).toBeVisible();
  await page.keyboard.press('Tab');
  await expect(app.toToday).toBeFocused();
  await page.keyboard.press('Tab');
  await expect(app.file).toBeFocused();
  await page.keyboard.press('Tab');
  await expect(app.print).toBeFocused();
  await page.keyboard.press('Tab');
  await expect(app.close).toBeFocused();
  await page.keyboard.press('Tab');
  await expect(app.search).toBeFocused();
  await page.keyboard.press('Tab');
  await expect(app.allProducts).toBeFocused();
});

for (const [language, colorScheme] of LOOKS) {
  test.describe(`in ${language}, ${colorScheme}`, SIMULATOR_ONLY, () => {
    test.use({ colorScheme, locale: language === 'fr' ? 'fr-FR' : 'en-GB' });

    test('axe finds no violation with figures, without, with old ones, and after a failure', async ({
      page,
      simulate,
    }) => {
      const app = new Day(page);
      for (const date of [SATURDAY, SUNDAY, '2025-03-17', '2026-02-30']) {
        await app.openDay(date);
        expect(await findViolations(app), date).toEqual([]);
      }
      await app.openDay(null);
      await simulate({ unreachable: true });
      await expect(app.stale).toBeVisible();
      expect(await findViolations(app), 'stale').toEqual([]);
      await simulate({ unreachable: false });
      await fail(page, 'urn:comptoir:problem:read-failed');
      await app.openDay(SATURDAY);
      expect(await findViolations(app), 'failed').toEqual([]);
    });
  });
}

test.describe('at 320 pixels', SIMULATOR_ONLY, () => {
  test.use({ viewport: { width: 320, height: 640 } });

  test('nothing is cut or scrolls sideways, and every control can be touched', async ({ page }) => {
    const app = new Day(page);
    for (const language of ['fr', 'en'] as const) {
      await app.openDay(SATURDAY);
      await app.speak(language);
      await expect(page.locator('html')).toHaveAttribute('lang', language);
      expect(await findViolations(app), language).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth), language).toBeLessThanOrEqual(320);
      const cut = page
        .locator('nav .name, .day-tables :is(th, td), [data-testid=day-net]')
        .evaluateAll((all) =>
          all
            .filter((element) => element.scrollWidth > element.clientWidth && element.clientWidth > 0)
            .map((element) => element.textContent.trim()),
        );
      expect(await cut, language).toEqual([]);
      const small = page.locator('main :is(button, input):visible, nav a').evaluateAll((all) =>
        all
          .filter((element) => {
            const { width, height } = element.getBoundingClientRect();
            return width < 43.5 || height < 43.5;
          })
          .map((element) => element.outerHTML.slice(0, 120)),
      );
      expect(await small, language).toEqual([]);
    }
  });
});
