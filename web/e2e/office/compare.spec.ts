/** The page that compares shops, on the simulated office. */
import { expect, type Page } from '@playwright/test';
import { findViolations } from '../pages/axe';
import { findCut, LOOKS, TABLET, test } from './fixtures';

const shops = (page: Page) => page.locator('[data-panel=by-shop] [data-compared]');
const steps = (page: Page) => page.locator('[data-panel=by-step] [data-compared]');

for (const [language, looks] of Object.entries(LOOKS)) {
  test.describe(language, () => {
    test.use({ locale: language === 'fr' ? 'fr-FR' : 'en-GB' });

    test('the page is accessible, and nothing is cut off', async ({ office, page }) => {
      await office.open('compare');
      await expect(page.locator('html')).toHaveAttribute('lang', language);
      for (const { viewport, colorScheme } of looks) {
        await page.setViewportSize(viewport);
        await page.emulateMedia({ colorScheme });
        await expect(shops(page)).toHaveCount(20);
        expect(await findCut(page, 'main :is([data-panel^=by-] :is(th, td), label, .key, summary):visible')).toEqual(
          [],
        );
        if (viewport !== TABLET) expect(await findViolations(office), colorScheme).toEqual([]);
      }
      await page.locator('summary').click();
      expect(await findViolations(office)).toEqual([]);
    });
  });
}

test('shops and days are compared with the period before, with their total', async ({ office, page }) => {
  await office.open('compare');
  await expect(page.getByTestId('period')).toContainText(
    'Du mar. 10 mars au lun. 16 mars, par rapport à la période du mar. 3 mars au lun. 9 mars',
  );
  await expect(page.getByTestId('period')).toContainText('n’est pas terminée');
  await expect(shops(page)).toHaveCount(20);
  await expect(steps(page)).toHaveCount(7);
  const revenues = await shops(page)
    .locator('.figure:first-child')
    .evaluateAll((all) => all.map((one) => one.textContent));
  expect(revenues[0]).toMatch(/^[\d\s]+,\d\d\s€$/);
  const total = page.locator('[data-panel=by-shop] tr.total');
  await expect(total).toContainText('Total');
  await expect(total).toContainText('CHF');
  await expect(total).toContainText('avant');
  // It opened three days ago.
  await expect(page.locator('[data-compared=lyon-2] td').nth(1)).toHaveText('–');
  const chart = page.locator('[data-panel=chart]').getByRole('table');
  await expect(chart.getByRole('row')).toHaveCount(8);
  await page.locator('[data-compared=paris-1]').getByRole('link').click();
  await expect(page).toHaveURL('/shops/paris-1');
});

test('the address keeps weeks, days and shops, and the keyboard chooses them', async ({ office, page }) => {
  await office.open('compare');
  await page.getByRole('radio', { name: 'Semaine' }).press('Space');
  await expect(page).toHaveURL('/compare?by=week');
  await expect(steps(page)).toHaveCount(4);
  await expect(steps(page).first()).toContainText('Semaine du lun. 23 févr.');
  await page.locator('summary').press('Enter');
  await page.getByRole('searchbox').fill('paris');
  await page.getByRole('checkbox', { name: 'paris-11' }).press('Space');
  await page.getByRole('checkbox', { name: 'paris-1', exact: true }).press('Space');
  await expect(page).toHaveURL('/compare?by=week&store=paris-1,paris-11');
  await expect(shops(page)).toHaveCount(2);
  await page.locator('[name=from]').fill('2026-03-02');
  await page.locator('[name=to]').fill('2026-03-15');
  await page.locator('[name=to]').press('Enter');
  await expect(page).toHaveURL('/compare?by=week&from=2026-03-02&to=2026-03-15&store=paris-1,paris-11');
  await expect(steps(page)).toHaveCount(2);
  await expect(page.getByTestId('period')).not.toContainText('n’est pas terminée');
  await page.reload();
  await expect(steps(page)).toHaveCount(2);
  await expect(page.locator('[name=from]')).toHaveValue('2026-03-02');
  await expect(page.locator('summary')).toContainText('2 magasins');
  await page.goBack();
  await expect(steps(page)).toHaveCount(4);
});

test('a choice that the server refuses, and a failure, say what to do', async ({ office, page, simulate }) => {
  await office.open('compare?from=2026-03-16&to=2026-03-01');
  await expect(page.getByTestId('failed')).toContainText('n’accepte pas ce choix');
  await page.getByRole('button', { name: 'Afficher les derniers jours' }).click();
  await expect(shops(page)).toHaveCount(20);
  await office.open('compare?store=nowhere');
  await expect(page.getByTestId('failed')).toContainText('There is no shop "nowhere"');
  await page.getByRole('button', { name: 'Afficher les derniers jours' }).click();
  await expect(shops(page)).toHaveCount(20);
  await simulate({ figuresProblem: 'urn:comptoir:problem:database-unavailable' });
  await page.getByRole('button', { name: 'Afficher', exact: true }).click();
  await expect(page.getByTestId('failed')).toContainText('PostgreSQL');
  await simulate({});
  await page.getByRole('button', { name: 'Réessayer' }).click();
  await expect(shops(page)).toHaveCount(20);
  await simulate({ shops: 0 });
  await office.open('compare');
  await expect(page.getByTestId('none')).toContainText('Aucun magasin n’est connu');
});
