/** The office's page of the sales of all shops, on the simulated office. */
import { readFile } from 'node:fs/promises';
import { expect, type Page } from '@playwright/test';
import { CLOCK } from '../../playwright.config';
import { findViolations } from '../pages/axe';
import { findCut, LOOKS, TABLET, test, holdAnswers } from './fixtures';

/** Notes the query strings of the requests for sales. */
function watchRequests(page: Page): URLSearchParams[] {
  const queries: URLSearchParams[] = [];
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.pathname === '/api/sales') queries.push(url.searchParams);
  });
  return queries;
}

for (const [language, looks] of Object.entries(LOOKS)) {
  test.describe(language, () => {
    test.use({ locale: language === 'fr' ? 'fr-FR' : 'en-GB' });

    test('the page is accessible, and nothing is cut off', async ({ sales, page }) => {
      await sales.open('?store=paris-1');
      await expect(page.locator('html')).toHaveAttribute('lang', language);
      for (const { viewport, colorScheme } of looks) {
        await page.setViewportSize(viewport);
        await page.emulateMedia({ colorScheme });
        await expect(sales.rows()).toHaveCount(9);
        const button = sales.opener(2);
        if ((await button.getAttribute('aria-expanded')) === 'false') await button.click();
        await expect(sales.details()).toBeVisible();
        expect(await findCut(page, 'main :is(th, td, dd, dt, h3, .status, label, .face):visible')).toEqual([]);
        if (viewport !== TABLET) expect(await findViolations(sales), colorScheme).toEqual([]);
      }
    });
  });
}

test('the bar at the top leads to the sales, and Back leads back', async ({ office, sales, page }) => {
  await office.open('?search=paris');
  await page.getByRole('link', { name: 'Ventes', exact: true }).click();
  await expect(page).toHaveURL('/sales');
  await expect(page).toHaveTitle('Ventes · Comptoir');
  await expect(page.locator('main')).toBeFocused();
  await expect(page.locator('nav [aria-current=page]')).toHaveText('Ventes');
  await expect(sales.rows()).toHaveCount(50);
  await page.goBack();
  await expect(page).toHaveURL('/?search=paris');
  await expect(office.shops()).toHaveCount(2);
  await expect(office.search()).toHaveValue('paris');
  await sales.open('?store=paris-11');
  await expect(sales.field('store')).toHaveValue('paris-11');
  await expect(sales.rows()).toHaveCount(9);
  await page.getByRole('link', { name: 'Magasins', exact: true }).click();
  await expect(office.shops()).toHaveCount(20);
});

test('a row has what a sale is, with exact amounts', async ({ sales, page }) => {
  await sales.open();
  const rows = page.locator('tbody tr');
  await expect(rows.nth(0)).toContainText('16/03/2026 16:');
  await expect(rows.nth(0)).toContainText('Livraison');
  await expect(rows.nth(0).locator('.num')).toHaveText('');
  await expect(rows.nth(1)).toContainText('paris-1');
  await expect(rows.nth(1)).toContainText('till-1');
  await expect(rows.nth(1)).toContainText('Réussi');
  await expect(rows.nth(1).locator('.num')).toHaveText(/^\d+,\d\d\s€$/);
  await expect(rows.nth(11)).toContainText('Comptoir');
  await expect(rows.nth(13).locator('.num')).toHaveText(/^1\s234,500\sTND$/);
  await expect(rows.nth(19).locator('.num')).toHaveText(/^1\s500\s\S+$/);
  await expect(rows.nth(5).getByTestId('corrected')).toHaveAttribute(
    'title',
    '2 modifications d’autres caisses n’ont pas été appliquées',
  );
  await expect(page.getByTestId('corrected')).toHaveCount(2);
});

test('the form filters, and the address keeps it', async ({ sales, page }) => {
  const queries = watchRequests(page);
  await sales.open();
  await expect(page.locator('datalist option')).toHaveCount(20);
  await sales.field('store').fill(' lyon-2 ');
  await sales.field('from').fill('2026-03-15');
  await sales.field('to').fill('2026-03-15');
  await sales.field('to').press('Enter');
  await expect(page).toHaveURL('/sales?store=lyon-2&from=2026-03-15&to=2026-03-15');
  // In Paris, which is an hour ahead: from midnight to midnight.
  await expect.poll(() => queries.at(-1)?.get('since')).toBe('2026-03-14T23:00:00.000Z');
  expect(queries.at(-1)?.get('until')).toBe('2026-03-15T23:00:00.000Z');
  expect(queries.at(-1)?.get('limit')).toBe('50');
  await expect(sales.rows()).toHaveCount(3);
  await expect(page.getByRole('heading', { name: '3 ventes' })).toBeVisible();
  await sales.kind('Paiements').check({ force: true });
  await expect(page).toHaveURL('/sales?store=lyon-2&kind=payment&from=2026-03-15&to=2026-03-15');
  await expect(sales.rows()).toHaveCount(1);
  await page.reload();
  await expect(sales.rows()).toHaveCount(1);
  await expect(sales.field('store')).toHaveValue('lyon-2');
  await expect(sales.field('to')).toHaveValue('2026-03-15');
  await expect(sales.kind('Paiements')).toBeChecked();
  await page.goBack();
  await expect(sales.rows()).toHaveCount(3);
  await expect(sales.kind('Tout')).toBeChecked();
  await page.goBack();
  await expect(page).toHaveURL('/sales');
  await expect(sales.field('store')).toHaveValue('');
  await expect(sales.rows()).toHaveCount(50);
});

test('the beginning of an order’s id finds the order and all that belongs to it', async ({ sales, page }) => {
  await sales.open('?kind=order');
  const id = (await sales.rows().nth(4).getAttribute('data-id')) ?? '';
  await sales.field('search').fill(id.slice(0, 12));
  await sales.apply().click();
  await expect(sales.rows()).toHaveCount(1);
  await sales.kind('Tout').check({ force: true });
  await expect(sales.rows()).toHaveCount(3);
  await expect(sales.rows().nth(2)).toHaveAttribute('data-id', id);
  await sales.field('search').fill('nothing-like-this');
  await sales.apply().click();
  await expect(page.getByTestId('none')).toContainText('Aucune vente ne correspond');
  await expect(sales.announcement()).toHaveText('Aucune vente ne correspond');
  await page.getByRole('button', { name: 'Afficher toutes les ventes' }).click();
  await expect(page).toHaveURL('/sales');
  await expect(sales.rows()).toHaveCount(50);
});

test('a field that the office refuses has its reason, and another value is accepted', async ({ sales, page }) => {
  await sales.open();
  await sales.field('store').fill('Paris 1');
  await sales.apply().click();
  await expect(sales.field('store')).toHaveAttribute('aria-invalid', 'true');
  await expect(sales.field('store')).toHaveAccessibleDescription(/n’accepte pas ce filtre.*store "Paris 1": only a-z/);
  await expect(page.getByTestId('failed')).toContainText('Les ventes n’ont pas pu être chargées');
  await expect(page.getByTestId('file')).toHaveCount(0);
  await sales.field('store').fill('paris-1');
  await sales.apply().click();
  await expect(sales.rows()).toHaveCount(9);
  await expect(sales.field('store')).not.toHaveAttribute('aria-invalid');
  // An address that somebody has changed by hand.
  await sales.open('?kind=refund');
  await expect(page.getByTestId('form-error')).toContainText('n’accepte pas ce filtre');
  await expect(page.getByTestId('form-error')).toContainText('kind: one of order, payment and delivery');
  await sales.kind('Commandes').check({ force: true });
  await expect(sales.rows()).toHaveCount(50);
});

test('the keyboard opens a row, which shows what the till wrote', async ({ sales, page }) => {
  await sales.open();
  await sales.opener(2).focus();
  await page.keyboard.press('Enter');
  const details = sales.details();
  await expect(details).toContainText('@example.fr');
  await expect(details).toContainText('Articles');
  await expect(details).toContainText('Total');
  await expect(sales.opener(2)).toHaveAttribute('aria-expanded', 'true');
  await page.keyboard.press('Space');
  await expect(details).toHaveCount(0);
  // A payment of a later version of the gateway.
  await sales.rows().nth(4).click();
  await expect(details).toContainText('Moyen de paiement');
  await expect(details).toContainText('{"amount":1.5,"note":"<b>merci</b>"}');
  await sales.rows().nth(5).click();
  await expect(details).toContainText('Modifications');
  await expect(details).toContainText('n’ont pas été appliquées');
  // Another row closes it. A name from right to left stays apart.
  await sales.rows().nth(8).click();
  await expect(details).toHaveCount(1);
  await expect(details.locator('bdi', { hasText: 'ليلى' })).toHaveCount(1);
  await sales.rows().nth(0).click();
  await expect(details).toContainText('mer. 18 mars');
});

test('more sales are read page by page, up to a thousand', async ({ sales, page, simulate }) => {
  await simulate({ sales: 120 });
  await sales.open();
  await expect(page.getByRole('heading', { name: 'Les 50 dernières ventes' })).toBeVisible();
  await sales.more().getByRole('button').click();
  await expect(sales.rows()).toHaveCount(100);
  await expect(sales.announcement()).toHaveText('Les 100 dernières ventes');
  await sales.more().getByRole('button').click();
  await expect(sales.rows()).toHaveCount(120);
  await expect(sales.more()).toContainText('Il n’y a pas d’autre vente.');
  await expect(page.getByRole('heading', { name: '120 ventes' })).toBeVisible();
  await simulate({ sales: 1200 });
  await sales.open();
  for (let count = 50; count < 1000; count += 50) {
    await expect(sales.rows()).toHaveCount(count);
    await sales.more().getByRole('button').click();
  }
  await expect(sales.rows()).toHaveCount(1000);
  await expect(sales.more().getByRole('button')).toHaveCount(0);
  await expect(sales.more()).toContainText(/Seules les 1\s000 dernières ventes/);
});

test('a page that could not be read can be read again, and nothing is lost', async ({ sales, page, simulate }) => {
  await simulate({ isUnreachable: true });
  await sales.open();
  await expect(page.getByTestId('failed')).toContainText('Le serveur du siège est injoignable');
  await expect(sales.announcement()).toHaveText('Le serveur du siège est injoignable');
  await simulate({});
  await page.getByRole('button', { name: 'Réessayer' }).click();
  await expect(sales.rows()).toHaveCount(50);
  await simulate({ salesProblem: 'urn:comptoir:problem:database-unavailable' });
  await sales.more().getByRole('button').click();
  await expect(sales.more()).toContainText('n’arrive pas à lire sa base de données');
  await expect(sales.rows()).toHaveCount(50);
  await simulate({});
  await sales.more().getByRole('button').click();
  await expect(sales.rows()).toHaveCount(100);
});

test('the file has the sales of the same filter', async ({ sales, page }) => {
  await sales.open('?store=nice-3&kind=payment&to=2026-03-16');
  await expect(sales.rows()).toHaveCount(3);
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByTestId('file').click()]);
  expect(download.suggestedFilename()).toBe('sales.csv');
  expect(new URL(download.url()).search).toBe('?store=nice-3&kind=payment&until=2026-03-16T23%3A00%3A00.000Z');
  const rows = (await readFile(await download.path(), 'utf8')).trim().split('\r\n');
  expect(rows).toHaveLength(4);
  expect(rows[1]).toMatch(/^nice-3,payment,/);
  await expect(page).toHaveURL('/sales?store=nice-3&kind=payment&to=2026-03-16');
});

test('the page is announced while it reads, and says so if there is no sale at all', async ({
  sales,
  page,
  simulate,
}) => {
  await page.clock.install({ time: CLOCK });
  await simulate({ sales: 0 });
  const release = await holdAnswers(page, '**/api/sales?*');
  await sales.open();
  await expect(sales.announcement()).toHaveText('Chargement des ventes…');
  await expect(page.locator('[data-panel=sales] table')).toHaveAttribute('aria-busy', 'true');
  release();
  await expect(page.getByTestId('none')).toContainText('Aucune vente pour l’instant');
  await expect(page.locator('[data-panel=sales]')).toContainText('Lu à 16:4');
});
