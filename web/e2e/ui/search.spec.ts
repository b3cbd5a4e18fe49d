/** The palette, and the search field of each list. */
import { readFile } from 'node:fs/promises';
import type { APIRequestContext, Page } from '@playwright/test';
import { findViolations } from '../pages/axe';
import { App, ExportDialog } from '../pages/app';
import { expect, LOOKS, SIMULATOR_ONLY, test } from './fixtures';

/** Ids that no other test has, because the demo keeps its sales. */
const number = () => Math.floor(Math.random() * 1e9).toString(36);

async function sell(request: APIRequestContext, key: string, name: string): Promise<void> {
  const post = async (list: string, data: object) => {
    const answer = await request.post(`/api/${list}`, { data });
    expect(answer.status(), await answer.text()).toBe(201);
  };
  const order_id = `cmd-${key}`;
  const lines = [{ product: 'Dariole', quantity: 1, unit_price: 12.5 }];
  const customer = { customer_name: name, customer_email: null, address: '3 rue de l’Église' };
  await post('orders', { order_id, ...customer, product: 'Dariole', lines, amount: 12.5, status: 'Pending' });
  await post('payments', { payment_id: `paie-${key}`, order_id, amount: 12.5, method: 'Cash', status: 'SUCCESS' });
  await post('deliveries', { delivery_id: `colis-${key}`, order_id, address: '3 rue de l’Église', status: 'Pending' });
}

const palette = (page: Page) => {
  const dialog = page.getByTestId('palette');
  return {
    dialog,
    field: dialog.getByRole('combobox'),
    options: dialog.getByRole('option'),
    selected: dialog.locator('[aria-selected=true]'),
    status: dialog.getByRole('status'),
    alert: dialog.getByRole('alert'),
  };
};

const sidewaysScroll = (page: Page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

test('the keyboard alone finds an order, its payment and a page, and Escape gives the focus back', async ({
  page,
  request,
}) => {
  const key = number();
  await sell(request, key, 'Ysoline Quatremère');
  const app = new App(page);
  await app.open('orders');
  const { dialog, field, options, selected, status } = palette(page);
  await page.keyboard.press('/');
  await expect(field).toBeFocused();
  await page.keyboard.type(`QUATREMERE cmd-${key}`);
  await expect(options.first()).toContainText('Ysoline Quatremère');
  await expect(selected).toContainText('Ysoline Quatremère');
  await expect(status).toContainText('1');
  await page.keyboard.press('Enter');
  await expect(dialog).toHaveCount(0);
  await expect(page).toHaveURL(new RegExp(`/orders/cmd-${key}$`));

  await page.keyboard.press('Control+k');
  await expect(field).toBeFocused();
  await page.keyboard.type(`paie-${key}`);
  await expect(options.first()).toContainText('12');
  await expect(field).toHaveAttribute('aria-activedescendant', (await options.first().getAttribute('id')) ?? '');
  await page.keyboard.press('ArrowUp');
  await expect(selected).toHaveCount(1);
  await page.keyboard.press('Escape');
  await expect(dialog).toHaveCount(0);

  const opener = page.getByTestId('search');
  await opener.focus();
  await page.keyboard.press('Enter');
  await expect(field).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(dialog).toHaveCount(0);
  await expect(opener).toBeFocused();

  await page.keyboard.press('Control+k');
  await expect(field).toBeFocused();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/\/orders$/);
});

test('a slash that somebody types in a field stays there', SIMULATOR_ONLY, async ({ page }) => {
  await new App(page).open('orders');
  const field = page.getByTestId('list-search');
  await field.focus();
  await page.keyboard.type('a/b');
  await expect(field).toHaveValue('a/b');
  await expect(palette(page).dialog).toHaveCount(0);
});

test(
  'only the last words are searched, and a gateway that is gone is said',
  SIMULATOR_ONLY,
  async ({ page, request }) => {
    await sell(request, 'last', 'Ysoline');
    await new App(page).open('orders');
    const { field, alert, options } = palette(page);
    const asked: string[] = [];
    page.on('request', (request) => {
      const { pathname, searchParams } = new URL(request.url());
      if (pathname === '/api/orders' && searchParams.has('q')) asked.push(searchParams.get('q') ?? '');
    });
    await page.getByTestId('search').click();
    await field.pressSequentially('dariole');
    await expect(options.first()).toBeVisible();
    await expect.poll(() => asked.at(-1)).toBe('dariole');
    expect(asked.length).toBeLessThan(7);
    await page.route('**/api/payments?*', (route) =>
      route.fulfill({
        status: 503,
        contentType: 'application/problem+json',
        json: {
          type: 'urn:comptoir:problem:storage-unavailable',
          title: '',
          status: 503,
          detail: 'Busy.',
          stored: 'no',
        },
      }),
    );
    await field.fill('dar');
    await expect(alert).not.toBeEmpty();
    await page.unroute('**/api/payments?*');
    await page.route('**/api/*?*', (route) => route.abort());
    await field.fill('dari');
    await expect(alert).not.toBeEmpty();
    await page.unroute('**/api/*?*');
    await field.fill('dario');
    await expect(alert).toBeEmpty();
  },
);

for (const [language, colorScheme] of LOOKS) {
  test.describe(`in ${language}`, SIMULATOR_ONLY, () => {
    test.use({ locale: language === 'fr' ? 'fr-FR' : 'en-GB', colorScheme });

    test('the palette and a searched list have no accessibility violations', async ({ page, request }) => {
      await sell(request, 'axe', 'Ysoline');
      await new App(page).open('orders');
      await page.getByTestId('search').click();
      const { field, options, dialog } = palette(page);
      await expect(options.first()).toBeVisible();
      expect(await findViolations({ page })).toEqual([]);
      await field.fill('ysoline');
      await expect(options.first()).toContainText('Ysoline');
      expect(await findViolations({ page })).toEqual([]);
      await page.keyboard.press('Escape');
      await expect(dialog).toHaveCount(0);
      for (const words of ['ysoline', 'nobody-at-all']) {
        await page.goto(`/orders?q=${words}`);
        await expect(page.locator('[data-panel=found] .skeleton')).toHaveCount(0);
        await expect(page.locator('[data-panel=found]')).toContainText(words);
        expect(await findViolations({ page })).toEqual([]);
      }
    });
  });
}

test.describe('at 320 pixels', SIMULATOR_ONLY, () => {
  test.use({ viewport: { width: 320, height: 640 }, hasTouch: true });

  test('a finger opens the palette and an order, and nothing scrolls sideways', async ({ page, request }) => {
    await sell(request, 'touch', 'Ysoline');
    await new App(page).open('orders');
    const opener = page.getByTestId('search');
    const box = await opener.boundingBox();
    expect(Math.min(box?.width ?? 0, box?.height ?? 0)).toBeGreaterThanOrEqual(44);
    expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual(320);
    expect(await sidewaysScroll(page)).toBe(0);
    await opener.tap();
    const { field, options } = palette(page);
    await field.fill('ysoline');
    await expect(options.first()).toContainText('Ysoline');
    for (const option of await options.all()) expect((await option.boundingBox())?.height).toBeGreaterThanOrEqual(44);
    expect(await sidewaysScroll(page)).toBe(0);
    await options.first().tap();
    await expect(page).toHaveURL(/\/orders\/cmd-touch$/);
    for (const list of ['orders', 'payments', 'deliveries']) {
      await page.goto(`/${list}?q=cmd-touch`);
      await expect(page.locator('[data-panel=found] [data-id]')).toHaveCount(1);
      expect(await sidewaysScroll(page)).toBe(0);
    }
  });
});

test('the words of a list are in the address, nothing found says so, and all can be shown again', async ({
  page,
  request,
}) => {
  const key = number();
  await sell(request, key, 'Ysoline Quatremère');
  const app = new App(page);
  const found = page.locator('[data-panel=found] [data-id]');
  const field = page.getByTestId('list-search');
  for (const list of ['orders', 'payments', 'deliveries'] as const) {
    await app.open(list);
    await field.fill(`cmd-${key}`);
    await expect(found).toHaveCount(1);
    await expect(page).toHaveURL(new RegExp(`/${list}\\?q=cmd-${key}$`));
    await page.reload();
    await expect(field).toHaveValue(`cmd-${key}`);
    await expect(found).toHaveCount(1);
    await field.fill('nobody-at-all');
    await expect(page.locator('[data-panel=found] .empty')).toBeVisible();
    await page.getByTestId('reset-search').first().click();
    await expect(field).toHaveValue('');
    await expect(field).toBeFocused();
    await expect(page).toHaveURL(new RegExp(`/${list}$`));
    await expect(page.locator(`[data-panel=${list}] [data-id]`).first()).toBeVisible();
  }
});

test('a sale that is shown changes as it happens, and new ones wait', SIMULATOR_ONLY, async ({ page, request }) => {
  await sell(request, 'live', 'Ysoline');
  await new App(page).open('orders');
  await page.getByTestId('list-search').fill('ysoline');
  const found = page.locator('[data-panel=found] [data-id]');
  await expect(found).toHaveCount(1);
  await sell(request, 'second', 'Ysoline');
  await request.post('/api/orders', { data: { order_id: 'cmd-live', status: 'Cancelled' } });
  await expect(found.first()).toContainText(/Cancelled|Annulée/);
  await expect(found).toHaveCount(1);
  await page.getByRole('button', { name: /Search again|Rechercher à nouveau/ }).click();
  await expect(found).toHaveCount(2);
});

test('a search is saved with what it found and nothing else', async ({ page, request }) => {
  const key = number();
  await sell(request, key, 'Ysoline Quatremère');
  await new App(page).open('orders');
  await page.getByTestId('list-search').fill(`cmd-${key}`);
  await expect(page.locator('[data-panel=found] [data-id]')).toHaveCount(1);
  const { opener, dialog, first, save } = new ExportDialog(page);
  await opener.click();
  await expect(dialog).toContainText(`cmd-${key}`);
  await expect(first).toHaveValue('');
  const started = page.waitForEvent('download');
  await save.click();
  const rows = (await readFile(await (await started).path(), 'utf8')).trimEnd().split('\r\n');
  expect(rows).toHaveLength(2);
  expect(rows[1]).toContain(`cmd-${key}`);
});
