/** The office's page, on the simulated office. */
import { expect } from '@playwright/test';
import { CLOCK } from '../../playwright.config';
import { findViolations } from '../pages/axe';
import { findCut, LOOKS, TABLET, test, holdAnswers } from './fixtures';

for (const [language, looks] of Object.entries(LOOKS)) {
  test.describe(language, () => {
    test.use({ locale: language === 'fr' ? 'fr-FR' : 'en-GB' });

    test('the page is accessible, and nothing is cut off', async ({ office, page, simulate }) => {
      await simulate({ shops: 24, keptApart: 12, lostRanges: 2 });
      await office.open('?only=trouble');
      await expect(page.locator('html')).toHaveAttribute('lang', language);
      for (const { viewport, colorScheme } of looks) {
        await page.setViewportSize(viewport);
        await page.emulateMedia({ colorScheme });
        await expect(office.shops()).toHaveCount(8);
        expect(await findCut(page, 'main :is(th, td, dd, dt, h3, .status, label):visible')).toEqual([]);
        if (viewport !== TABLET) expect(await findViolations(office), colorScheme).toEqual([]);
      }
    });
  });
}

test('the shops are listed as the office sorts them, with their troubles in words', async ({ office }) => {
  await office.open();
  await expect.poll(async () => (await office.shownStores()).slice(0, 3)).toEqual(['paris-1', 'lyon-2', 'nice-3']);
  const first = office.shop('paris-1');
  await expect(first.locator('.status')).toHaveText([
    'Plus de nouvelles',
    'Événements manquants',
    'Serveur MQTT injoignable',
    'Envoi en retard',
  ]);
  await expect(first).toContainText('il y a 1 h');
  await expect(first.locator('time').first()).toHaveAttribute('title', /16 mars 2026 à 15:\d\d:\d\d/);
  await expect(first).toContainText('1 204');
  await expect(first).toContainText('depuis 5 h 12 min');
  await expect(first).toContainText('3 manquants');
  await expect(first).toContainText('arrêt normal');
  await expect(office.shop('saint-germain-en-laye-7').locator('.status')).toHaveText('a-later-word');
  await expect(office.shop('nice-3')).toContainText('1 735,30 €');
  await expect(office.shop('nice-3')).toContainText('229,40 CHF');
  await expect(office.summary()).toHaveText('20 magasins 7 ont des problèmes');
  // Its gateway has not published a state.
  await expect(office.shop('paris-11')).toContainText('inconnu');
});

test('headings sort, with the keyboard too, and the address keeps it', async ({ office, page }) => {
  await office.open();
  await office.heading('Magasin').focus();
  await page.keyboard.press('Enter');
  await expect(office.shops().first()).toHaveAttribute('data-store', 'brest-10');
  await page.keyboard.press('Enter');
  await expect(office.shops().first()).toHaveAttribute('data-store', 'saint-germain-en-laye-17');
  await expect(page.locator('th[aria-sort=descending]')).toHaveText('Magasin');
  await expect(page).toHaveURL('/?sort=-name');
  await page.reload();
  await expect(office.shops().first()).toHaveAttribute('data-store', 'saint-germain-en-laye-17');
  await office.heading('Dernier contact').click();
  await expect(office.shops().first()).toHaveAttribute('data-store', 'lyon-2');
  await office.heading('En attente').click();
  await expect(office.shops().first()).toHaveAttribute('data-store', 'paris-1');
  await office.heading('Problèmes').click();
  await expect(page).toHaveURL('/');
});

test('the search and the switch filter, and say how many are left', async ({ office, page }) => {
  await office.open();
  await office.search().fill('PARIS');
  await expect(office.shops()).toHaveCount(2);
  await expect(page.getByRole('heading', { name: '2 magasins sur 20' })).toBeVisible();
  await office.onlyTrouble().press('Space');
  await expect(office.shops()).toHaveCount(1);
  await expect(page).toHaveURL('/?search=PARIS&only=trouble');
  await office.search().fill('nowhere');
  await expect(page.getByTestId('none')).toBeVisible();
  await page.getByRole('button', { name: 'Afficher tous les magasins' }).click();
  await expect(office.shops()).toHaveCount(20);
});

test('the page reads the office again while it is visible, from local midnight on', async ({
  office,
  page,
  simulate,
}) => {
  await page.clock.install({ time: CLOCK });
  const requests: string[] = [];
  page.on('request', (request) => {
    if (request.url().includes('/api/shops')) requests.push(request.url());
  });
  await office.open();
  expect(new URL(requests[0]!).searchParams.get('since')).toBe('2026-03-15T23:00:00.000Z');
  await simulate({ shops: 21 });
  await page.clock.runFor(6000);
  await expect(office.shops()).toHaveCount(21);
  const setHidden = (isHidden: boolean) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, isHidden);
  await setHidden(true);
  const count = requests.length;
  await page.clock.runFor(30_000);
  expect(requests).toHaveLength(count);
  await expect(office.bar()).toContainText('lu il y a 3');
  await setHidden(false);
  await expect.poll(() => requests.length).toBe(count + 1);
});

test('the page says that the office does not answer, how old its figures are, and recovers', async ({
  office,
  page,
  simulate,
}) => {
  await page.clock.install({ time: CLOCK });
  await office.open();
  await simulate({ isUnreachable: true });
  await page.clock.runFor(60_000);
  await expect(office.bar()).toHaveAttribute('data-tone', 'bad');
  await expect(office.bar()).toContainText('Le serveur du siège est injoignable');
  await expect(office.bar()).toContainText(/Dernière lecture\s: 16:4\d:\d\d, il y a (5\d\ss|1\smin)/);
  await expect(office.shops()).toHaveCount(20);
  await simulate({ problem: 'urn:comptoir:problem:database-unavailable' });
  await page.clock.runFor(6000);
  await expect(office.bar()).toContainText('n’arrive pas à lire sa base de données');
  await simulate({ readMinutesAgo: 90 });
  await page.clock.runFor(6000);
  await expect(office.bar()).toHaveAttribute('data-tone', 'wait');
  // The simulated office's clock has gone on since the first test.
  await expect(office.bar()).toContainText(/jusqu’à 15:[1-5]\d:\d\d/);
  await simulate({});
  await page.clock.runFor(6000);
  await expect(office.bar()).toHaveAttribute('data-tone', 'good');
});

test('without any shop, the page says what to do', async ({ office, page, simulate }) => {
  await simulate({ shops: 0, keptApart: 1200 });
  await office.open();
  await expect(page.getByTestId('empty')).toContainText('shops.keys');
  await expect(office.summary()).toContainText('1 200 enregistrements mis à part');
  await simulate({ isUnreachable: true });
  await office.open();
  await expect(page.locator('main')).toContainText('La liste des magasins n’a pas pu être chargée');
});

test('the first answer takes the place that was kept for it, and the language can be changed', async ({
  office,
  page,
}) => {
  const release = await holdAnswers(page, '**/api/shops?*');
  await page.goto('/');
  await expect(page.locator('.skeleton').first()).toBeVisible();
  const top = () => page.locator('[data-panel=shops] tbody').evaluate((body) => body.getBoundingClientRect().top);
  const before = await top();
  release();
  await expect(office.shops().first()).toBeVisible();
  expect(await top()).toBe(before);
  await page.locator('header input[value="en"]').check({ force: true });
  await expect(office.shop('paris-1').locator('.status').first()).toHaveText('Silent');
  await expect(page).toHaveTitle('Shops · Comptoir');
});

test('a thousand shops show at once, and more of them as the reader scrolls', async ({ office, page, simulate }) => {
  await simulate({ shops: 1000 });
  await office.open();
  await expect(office.shops()).toHaveCount(100);
  await page.keyboard.press('End');
  await expect.poll(() => office.shops().count()).toBeGreaterThan(100);
  await office.search().fill('1000');
  await expect(office.shops()).toHaveCount(1);
});
