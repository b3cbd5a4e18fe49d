/** A list becomes a file that a spreadsheet opens. */
import { readFile } from 'node:fs/promises';
import type { APIRequestContext, Download } from '@playwright/test';
import type { Page } from '../../src/lib/api/types';
import { findViolations } from '../pages/axe';
import { App, ExportDialog } from '../pages/app';
import { expect, LOOKS, SIMULATOR_ONLY, test } from './fixtures';

const textOf = async (download: Download) => readFile(await download.path(), 'utf8');

/** The number of items on all pages of a list. */
async function countItems(request: APIRequestContext, list: string): Promise<number> {
  let count = 0;
  for (let cursor: string | null = ''; cursor !== null;) {
    const response = await request.get(`/api/${list}?limit=500${cursor === '' ? '' : `&cursor=${cursor}`}`);
    const page = (await response.json()) as Page<unknown>;
    count += page.items.length;
    cursor = page.next_cursor;
  }
  return count;
}

for (const [list, id] of [
  ['orders', 'order_id'],
  ['payments', 'payment_id'],
  ['deliveries', 'delivery_id'],
] as const) {
  test(`all ${list} are saved, with the keyboard alone`, async ({ page, request }) => {
    const app = new App(page);
    await app.open(list);
    const { opener, dialog, first, last } = new ExportDialog(page);
    await opener.focus();
    await page.keyboard.press('Enter');
    await expect(first).toBeFocused();
    await first.fill('');
    await last.fill('');
    const started = page.waitForEvent('download');
    await last.press('Enter');
    const download = await started;
    expect(download.suggestedFilename()).toBe(`${list}.csv`);
    const [head = '', ...rows] = (await textOf(download)).trimEnd().split('\r\n');
    expect(head).toMatch(new RegExp(`^\ufeff${id};`));
    expect(rows.length).toBe(await countItems(request, list));
    await expect(dialog).toHaveCount(0);
    await expect(opener).toBeFocused();
  });
}

test('the file has the sales of the chosen days', SIMULATOR_ONLY, async ({ page }) => {
  const app = new App(page);
  await app.open('orders');
  const { opener, first, last, save } = new ExportDialog(page);
  await opener.click();
  await expect(first).toHaveValue('2026-03-01');
  await expect(last).toHaveValue('2026-03-16');
  await first.fill('2026-03-16');
  const requested = page.waitForRequest('**/api/orders?from=**');
  const started = page.waitForEvent('download');
  await save.click();
  const parameters = new URL((await requested).url()).searchParams;
  expect([parameters.get('from'), parameters.get('to')]).toEqual([
    '2026-03-15T23:00:00.000Z',
    '2026-03-16T23:00:00.000Z',
  ]);
  expect((await started).suggestedFilename()).toBe('orders_2026-03-16_2026-03-16.csv');
});

test('days in the wrong order are explained and nothing is requested', SIMULATOR_ONLY, async ({ page }) => {
  const app = new App(page);
  await app.open('orders');
  const { opener, dialog, last, save } = new ExportDialog(page);
  await opener.click();
  await last.fill('2026-02-01');
  await expect(dialog).toContainText('Le premier jour est après le dernier');
  await expect(last).toHaveAttribute('aria-invalid', 'true');
  await expect(save).toHaveAttribute('aria-disabled', 'true');
});

test('a refused or interrupted file is explained, and can be requested again', SIMULATOR_ONLY, async ({ page }) => {
  const app = new App(page);
  await app.open('payments');
  const { opener, dialog, save } = new ExportDialog(page);
  await opener.click();
  await page.route('**/api/payments?**', (route) => route.abort());
  await save.click();
  await expect(dialog.getByRole('alert')).not.toBeEmpty();
  await page.unroute('**/api/payments?**');
  const started = page.waitForEvent('download');
  await save.click();
  await started;
  await expect(dialog).toHaveCount(0);
});

for (const [language, colorScheme] of LOOKS) {
  test.describe(`in ${language}, ${colorScheme}`, SIMULATOR_ONLY, () => {
    test.use({ colorScheme, locale: language === 'fr' ? 'fr-FR' : 'en-GB' });

    test('axe finds no violation in the dialog', async ({ page }) => {
      const app = new App(page);
      await app.open('deliveries');
      const { opener, dialog, last } = new ExportDialog(page);
      await opener.click();
      await last.fill('2026-02-01');
      await expect(dialog).toBeVisible();
      expect(await findViolations(app)).toEqual([]);
      await page.keyboard.press('Escape');
      await expect(dialog).toHaveCount(0);
    });
  });
}
