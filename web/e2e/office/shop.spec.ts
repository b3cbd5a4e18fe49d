/** The page of one shop, on the simulated office. */
import { expect } from '@playwright/test';
import { CLOCK } from '../../playwright.config';
import { findViolations } from '../pages/axe';
import { findCut, LOOKS, PHONE, TABLET, test } from './fixtures';

for (const [language, looks] of Object.entries(LOOKS)) {
  test.describe(language, () => {
    test.use({ locale: language === 'fr' ? 'fr-FR' : 'en-GB' });

    test('the page is accessible, and nothing is cut off', async ({ office, page }) => {
      await office.open('shops/nice-3');
      await expect(page.locator('html')).toHaveAttribute('lang', language);
      for (const { viewport, colorScheme } of looks) {
        await page.setViewportSize(viewport);
        await page.emulateMedia({ colorScheme });
        await expect(page.locator('[data-panel=newest-order] [data-id]').first()).toBeVisible();
        expect(await findCut(page, 'main :is(h1, h2, dd, dt, .value, .status, .change):visible')).toEqual([]);
        if (viewport !== TABLET) expect(await findViolations(office), colorScheme).toEqual([]);
      }
    });
  });
}

test('a shop’s name leads to its figures, and they lead to its sales', async ({ office, sales, page }) => {
  await office.open('?search=paris');
  await office.shop('paris-1').getByRole('link').click();
  await expect(page).toHaveURL('/shops/paris-1');
  await expect(page).toHaveTitle('paris-1 · Comptoir');
  await expect(page.locator('main')).toBeFocused();
  await expect(page.locator('nav [aria-current=page]')).toHaveText('Magasins');
  await page.getByRole('link', { name: 'Tous les paiements' }).click();
  await expect(page).toHaveURL('/sales?store=paris-1&kind=payment');
  await expect(sales.kind('Paiements')).toBeChecked();
  await page.goBack();
  await page.locator('main').getByRole('link', { name: 'Comparer' }).click();
  await expect(page).toHaveURL('/compare?store=paris-1');
  await page.goBack();
  await page.goBack();
  await expect(office.shops()).toHaveCount(2);
  await page.setViewportSize(PHONE);
  await office.shop('paris-11').getByRole('link').click();
  await expect(page).toHaveURL('/shops/paris-11');
});

test('the cards, the hours and the gateway say how the shop does', async ({ office, page }) => {
  await page.clock.setFixedTime(CLOCK);
  await office.open('shops/nice-3');
  const card = (name: string) => page.locator(`[data-card=${name}]`);
  await expect(card('orders')).toContainText(/\d aujourd’hui/);
  await expect(card('orders')).toContainText(/hier(,| à la) même heure/);
  await expect(card('revenue').locator('[data-value]')).toHaveText(/^[\d\s]+,\d\d\s€$/);
  await expect(card('revenue')).toContainText('Dans d’autres devises : 229,40 CHF');
  await expect(page.getByTestId('success-rate')).toHaveText(/^\d+(,\d)?\s%$/);
  const hours = page.locator('[data-panel=orders-per-hour]').getByRole('table');
  await expect(hours.getByRole('row')).toHaveCount(13);
  // Noon in Paris is 11 o'clock UTC.
  await expect(hours.getByRole('row', { name: /^12/ })).toBeAttached();
  await expect(page.locator('[data-panel=gateway]')).toContainText('version 0.5.0');
  await expect(page.locator('[data-panel=gateway] .status')).toHaveText(['Événements manquants']);
});

test('a shop that does not exist is named, and a failure recovers', async ({ office, page, simulate }) => {
  await office.open('shops/nowhere');
  await expect(page.getByTestId('unknown-shop')).toContainText('Ce magasin n’existe pas');
  await simulate({ figuresProblem: 'urn:comptoir:problem:database-unavailable' });
  await office.open('shops/paris-1');
  await expect(page.getByTestId('failed')).toContainText('PostgreSQL');
  await simulate({});
  await expect(page.locator('[data-card=orders] [data-value]')).toHaveText(/\d/, { timeout: 10_000 });
});
