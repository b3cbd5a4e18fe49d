/** Sign-in to the office, on the simulated office. */
import { expect } from '@playwright/test';
import { findViolations } from '../pages/axe';
import { findCut, LOOKS, test } from './fixtures';

for (const [language, looks] of Object.entries(LOOKS)) {
  test.describe(language, () => {
    test.use({ locale: language === 'fr' ? 'fr-FR' : 'en-GB' });

    test('the sign-in page is accessible, and nothing is cut off', async ({ office, page, simulate }) => {
      await simulate({ hasAccounts: true, oidc: 'Keycloak' });
      await page.goto('/login');
      await expect(page.getByTestId('login-form')).toBeVisible();
      for (const { viewport, colorScheme } of looks) {
        await page.setViewportSize(viewport);
        await page.emulateMedia({ colorScheme });
        expect(await findCut(page, 'main :is(label, a, button):visible')).toEqual([]);
        expect(await findViolations(office), colorScheme).toEqual([]);
      }
    });
  });
}

test('somebody who is not signed in signs in, returns to the wanted page, and signs out', async ({
  page,
  office,
  simulate,
}) => {
  await simulate({ hasAccounts: true });
  await page.goto('/sales?store=paris-1');
  await expect(page).toHaveURL('/login?next=%2Fsales%3Fstore%3Dparis-1');
  const form = page.getByTestId('login-form');
  await expect(form.locator('[name=username]')).toBeFocused();
  await page.keyboard.type('Camille');
  await page.keyboard.press('Tab');
  await page.keyboard.type('wrong');
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('failure')).toHaveText('Le nom ou le mot de passe est incorrect');
  await page.keyboard.type('four words');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL('/sales?store=paris-1');
  await page.getByTestId('user-menu').click();
  await expect(page.getByText('Responsable')).toBeVisible();
  await expect(page.getByText('paris-1, lyon-2', { exact: true })).toBeVisible();
  expect(await findViolations(office)).toEqual([]);
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('sign-out')).toBeHidden();
  await page.getByTestId('user-menu').click();
  await page.getByTestId('sign-out').click();
  await expect(page).toHaveURL(/\/login/);
});

test('a session that ends leads to the sign-in page, and back', async ({ page, office, simulate }) => {
  await office.open();
  await simulate({ hasAccounts: true });
  await expect(page).toHaveURL('/login', { timeout: 15_000 });
});

test('without encryption nobody is asked for a password', async ({ page, simulate }) => {
  await simulate({ hasAccounts: true, isPlain: true });
  await page.goto('/login');
  await expect(page.getByTestId('plain')).toBeVisible();
  await expect(page.getByTestId('login-form')).toHaveCount(0);
});
