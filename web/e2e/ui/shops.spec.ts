/** The sales of other shops, on a gateway that reads the events of all shops. */
import type { Order, Page as ListPage, Payment, Stats } from '../../src/lib/api/types';
import { App, Dashboard, Deliveries, Orders, Payments } from '../pages/app';
import { findViolations } from '../pages/axe';
import { Identity } from '../pages/identity';
import { expect, LOOKS, SIMULATOR_ONLY, test } from './fixtures';

const SALES_PAGES = ['dashboard', 'orders', 'payments', 'deliveries'] as const;

test.beforeEach(({ simulate }) => simulate({ otherShops: ['nice-3', 'lyon-2'] }));

test.describe('the picker', SIMULATOR_ONLY, () => {
  test('lists this shop first and then the others by name', async ({ page }) => {
    const app = new App(page);
    await app.open('orders');
    await expect(page.getByLabel('Magasin')).toHaveValue('paris-1');
    await expect(app.shops.locator('option')).toHaveText(['Votre magasin (paris-1)', 'lyon-2', 'nice-3']);
    await expect(app.shopNotice).toHaveCount(0);
    await app.go('gateway');
    await expect(app.shops).toHaveCount(0);
  });

  test('is not shown while no other shop is known', async ({ page, simulate }) => {
    await simulate({ otherShops: [] });
    const app = new App(page);
    const asked = page.waitForResponse('**/api/shops');
    await app.open('orders');
    await asked;
    await expect(app.shops).toHaveCount(0);
    await expect(page.locator('header .store')).toHaveText('paris-1');
  });

  test('is not shown, and nothing is asked, if the gateway reads only its own sales', async ({ page, simulate }) => {
    await simulate({ follow: 'own' });
    const requests: string[] = [];
    page.on('request', (request) => requests.push(new URL(request.url()).pathname));
    const app = new App(page);
    for (const name of SALES_PAGES) await app.open(name);
    await expect(app.shops).toHaveCount(0);
    expect(requests).toContain('/api/session');
    expect(requests).not.toContain('/api/shops');
  });

  test('works with the keyboard and says what it did', async ({ page }) => {
    const app = new Orders(page);
    await app.open('orders');
    await app.shops.focus();
    await page.keyboard.press('ArrowDown');
    await expect(page).toHaveURL('/orders?store=lyon-2');
    await expect(app.shops).toBeFocused();
    await expect(page.locator('.header [role=status]')).toContainText('Vous consultez les ventes du magasin');
    await app.thisShop.focus();
    await page.keyboard.press('Enter');
    await expect(page).toHaveURL('/orders');
    await expect(page.locator('main')).toBeFocused();
  });
});

test.describe('the chosen shop', SIMULATOR_ONLY, () => {
  test('is in the address, goes along from page to page, and survives a reload', async ({ page }) => {
    const app = new App(page);
    await app.open('dashboard');
    await app.chooseShop('lyon-2');
    for (const name of SALES_PAGES) {
      await app.go(name);
      await expect(page).toHaveURL(`/${name}?store=lyon-2`);
      await expect(app.shopNotice).toContainText('Vous consultez les ventes du magasin lyon-2.');
      await expect(page).toHaveTitle(/lyon-2/);
    }
    await page.reload();
    await expect(app.shopNotice).toContainText('lyon-2');
    await expect(app.shops).toHaveValue('lyon-2');
    await app.go('gateway');
    await expect(page.locator('main')).toContainText('passerelle du magasin paris-1');
    await app.go('orders');
    await expect(app.shopNotice).toContainText('lyon-2');
    await app.chooseShop('nice-3');
    await expect(app.shopNotice).toContainText('nice-3');
    await page.goBack();
    await expect(app.shopNotice).toContainText('lyon-2');
    await expect(app.shops).toHaveValue('lyon-2');
  });

  test('has its own totals on the dashboard', async ({ page, request }) => {
    const dashboard = new Dashboard(page);
    const totalOrders = async (query = '') =>
      ((await (await request.get(`/api/stats${query}`)).json()) as Stats).total_orders;
    const digits = async () => (await dashboard.card('orders').innerText()).replace(/\D/g, '');
    await dashboard.open('dashboard');
    await expect.poll(digits).toBe(String(await totalOrders()));
    await dashboard.chooseShop('lyon-2');
    await expect(dashboard.shopNotice).toBeVisible();
    expect(await totalOrders('?store=lyon-2')).not.toBe(await totalOrders());
    await expect.poll(digits).toBe(String(await totalOrders('?store=lyon-2')));
    await expect(dashboard.rows()).toHaveCount(0);
    await dashboard.waitForCharts();
    await dashboard.thisShop.click();
    await expect(page).toHaveURL('/dashboard');
    await expect.poll(digits).toBe(String(await totalOrders()));
    await expect(dashboard.rows()).toHaveCount(50);
  });

  test('has lists of its own with older pages, and histories of its own', async ({ page, request }) => {
    const orders = new Orders(page);
    const list = async (query: string) => (await (await request.get(query)).json()) as ListPage<Order>;
    const first = await list('/api/orders?store=lyon-2&limit=50');
    const second = await list(`/api/orders?store=lyon-2&limit=50&cursor=${first.next_cursor}`);
    await orders.open('orders', 'lyon-2');
    await expect.poll(() => orders.shownIds()).toEqual(first.items.map(({ order_id }) => order_id));
    await orders.older().click();
    await expect(orders.title()).toHaveText('Commandes plus anciennes, page 2');
    await expect.poll(() => orders.shownIds()).toEqual(second.items.map(({ order_id }) => order_id));
    await orders.rows().nth(3).getByRole('button').click();
    await expect(orders.life()).toContainText('lyon-2/till-');
    await expect(orders.life()).toContainText('sur une autre passerelle');
    await expect(orders.life().locator('.events li').first()).toBeVisible();
    await page.getByRole('button', { name: 'Revenir au début' }).click();
    await expect(orders.title()).toHaveText('Dernières commandes');

    const payments = new Payments(page);
    await payments.go('payments');
    const paid = (await (await request.get('/api/payments?store=lyon-2')).json()) as ListPage<Payment>;
    await expect(payments.rows()).toHaveCount(50);
    await expect(payments.row(paid.items[0]!.payment_id)).toBeVisible();
    await page.getByTestId('older').click();
    await expect(page.locator('[data-panel="payments"] h2')).toHaveText('Paiements plus anciens, page 2');

    const deliveries = new Deliveries(page);
    await deliveries.go('deliveries');
    await expect(deliveries.items().first()).toBeVisible();
    await deliveries.filter('Pending');
    await expect(deliveries.items().first()).toHaveAttribute('data-status', 'Pending');
    await expect(page.locator('[data-panel="deliveries"] li[data-status="Delivered"]')).toHaveCount(0);
  });

  test('is never mixed with this shop, whose sales go on', async ({ page, request, simulate }) => {
    const orders = new Orders(page);
    await orders.open('orders', 'lyon-2');
    await expect(orders.rows()).toHaveCount(50);
    const before = await orders.shownIds();
    const created = (await (await request.post('/api/orders', { data: {} })).json()) as { order_id: string };
    await simulate({ sellAt: 'lyon-2' });
    // The next poll adds the other shop's new sale, and nothing else.
    await expect(orders.rows().first()).not.toHaveAttribute('data-id', before[0] ?? '', { timeout: 15_000 });
    await expect.poll(async () => (await orders.shownIds()).slice(1)).toEqual(before.slice(0, -1));
    await expect(orders.row(created.order_id)).toHaveCount(0);
    const sold = (await orders.shownIds())[0] ?? '';
    await orders.chooseShop('nice-3');
    await expect(orders.shopNotice).toContainText('nice-3');
    await expect(orders.rows()).toHaveCount(50);
    await expect(orders.row(sold)).toHaveCount(0);
    await orders.thisShop.click();
    await expect(orders.row(created.order_id)).toBeVisible();
    await expect(orders.row(sold)).toHaveCount(0);
  });

  test('is refreshed under an open row without moving it', async ({ page, simulate }) => {
    const orders = new Orders(page);
    await orders.open('orders', 'lyon-2');
    await expect(orders.rows()).toHaveCount(50);
    await orders.rows().first().getByRole('button').click();
    const before = await orders.shownIds();
    await simulate({ sellAt: 'lyon-2' });
    await expect(orders.newRows()).toContainText('1 nouvelle', { timeout: 15_000 });
    expect(await orders.shownIds()).toEqual(before);
    await orders.newRows().click();
    await expect.poll(async () => (await orders.shownIds()).slice(1, 50)).toEqual(before.slice(0, 49));
  });

  test('has no form, and the page says why', async ({ page }) => {
    const app = new App(page);
    for (const name of ['orders', 'payments', 'deliveries'] as const) {
      await app.open(name, 'lyon-2');
      await expect(app.shopNotice).toContainText('Pour enregistrer une vente, revenez à votre magasin.');
      await expect(page.getByTestId('create')).toHaveCount(0);
      await expect(page.locator('main form')).toHaveCount(0);
      await expect(app.shopNotice).toContainText(/Lues à 16:40:0\d, actualisées toutes les 10/);
    }
  });
});

test.describe('a problem', SIMULATOR_ONLY, () => {
  test('an unknown shop is named, with the way back', async ({ page, simulate }) => {
    const app = new Orders(page);
    await app.open('orders', 'lyon-9');
    await expect(page.getByTestId('unknown-shop')).toContainText('Aucune vente du magasin lyon-9');
    await expect(app.rows()).toHaveCount(0);
    await expect(page.getByTestId('create')).toHaveCount(0);
    expect(await findViolations(app)).toEqual([]);
    await app.thisShop.click();
    await expect(app.rows()).toHaveCount(50);
    await simulate({ follow: 'own' });
    await app.open('orders', 'lyon-2');
    await expect(page.getByTestId('unknown-shop')).toContainText('que les ventes de son propre magasin');
  });

  test('the name of this shop in the address shows this shop', async ({ page }) => {
    const app = new Orders(page);
    await app.open('orders', 'paris-1');
    await expect(app.rows()).toHaveCount(50);
    await expect(app.create()).toBeVisible();
    await expect(app.shops).toHaveValue('paris-1');
  });

  test('shops that cannot be asked for are a failure, not this shop', async ({ page }) => {
    await page.route('**/api/shops', (route) => route.fulfill({ status: 503 }));
    await page.goto('/orders?store=lyon-2');
    await expect(page.getByText('Cette page n’a pas pu être chargée')).toBeVisible();
    await expect(new Orders(page).rows()).toHaveCount(0);
    await page.unroute('**/api/shops');
    await page.getByRole('button', { name: 'Réessayer' }).click();
    await expect(new Orders(page).rows()).toHaveCount(50);
  });

  test('a list that cannot be read says so, and what was read stays', async ({ page }) => {
    const orders = new Orders(page);
    await page.route('**/api/orders?*', (route) => route.abort());
    await page.goto('/orders?store=lyon-2');
    await expect(page.getByText('Cette page n’a pas pu être chargée')).toBeVisible();
    await page.unroute('**/api/orders?*');
    await page.getByRole('button', { name: 'Réessayer' }).click();
    await expect(orders.rows()).toHaveCount(50);
    await page.route('**/api/orders?*', (route) => route.abort());
    await expect(orders.shopNotice).toContainText('n’ont pas pu être actualisées', { timeout: 15_000 });
    await expect(orders.rows()).toHaveCount(50);
  });

  test('a role without personal data sees none of another shop either', async ({ page, simulate }) => {
    await simulate({ identity: 'staff' });
    const app = new Identity(page);
    await app.openAs('viewer', '/deliveries?store=lyon-2');
    await expect(new Deliveries(page).items().first()).toContainText(/Commande o-/);
    await expect(page.getByTestId('shop-notice')).not.toContainText('Pour enregistrer une vente');
    await app.signOut();
    await expect(page.getByTestId('shop-picker')).toHaveCount(0);
  });
});

for (const [language, colorScheme] of LOOKS) {
  test.describe(`in ${language}, ${colorScheme}`, SIMULATOR_ONLY, () => {
    test.use({ colorScheme, locale: language === 'fr' ? 'fr-FR' : 'en-GB' });

    test('axe finds no violation on the pages of another shop', async ({ page }) => {
      const app = new App(page);
      for (const name of SALES_PAGES) {
        await app.open(name, 'lyon-2');
        await expect(app.shopNotice).toContainText(language === 'fr' ? 'Lues à' : 'Read at');
        expect(await findViolations(app), name).toEqual([]);
      }
    });
  });
}

test('no page of another shop shows English to a French reader', SIMULATOR_ONLY, async ({ page }) => {
  const app = new App(page);
  for (const name of SALES_PAGES) {
    await app.open(name, 'lyon-2');
    await expect(app.shopNotice).toContainText('Lues à');
    const text = await page.evaluate(() => {
      document.querySelectorAll('[lang=en], bdi').forEach((element) => element.remove());
      return document.body.innerText;
    });
    expect(text, name).not.toMatch(/\b(more|the|and|order|orders|delivery|since|is|are|not|with|of|shop|read)\b/i);
  }
});

test(
  'the picker fits at every width, and no page is wider than the screen',
  SIMULATOR_ONLY,
  async ({ page, simulate }) => {
    await simulate({ identity: 'staff' });
    const app = new Identity(page);
    await app.openAs('manager', '/orders');
    for (const name of SALES_PAGES) {
      for (const query of ['', '?store=lyon-2']) {
        await page.goto(`/${name}${query}`);
        await app.waitForData();
        for (const width of [390, 900, 1024, 1200]) {
          await page.setViewportSize({ width, height: 844 });
          const picker = await page.getByTestId('shop-picker').boundingBox();
          expect(picker?.width, `${name} at ${width}`).toBeGreaterThanOrEqual(80);
          const scrollWidth = await page.evaluate(() => document.documentElement.scrollWidth);
          expect(scrollWidth, `${name} at ${width}`).toBeLessThanOrEqual(width);
        }
      }
    }
  },
);
