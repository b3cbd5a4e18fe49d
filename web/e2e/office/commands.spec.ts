/** The office's page that sends messages and price lists, on the simulated office. */
import { expect, type Page } from '@playwright/test';
import { findViolations } from '../pages/axe';
import { findCut, LOOKS, TABLET, test } from './fixtures';

const sent = (page: Page) => page.locator('[data-command]');
const send = (page: Page) => page.getByTestId('send');
const failure = (page: Page) => page.getByTestId('send-error');
const rows = (page: Page, name: 'product' | 'price') => page.locator(`[data-testid=compose] li input[name=${name}]`);

/** The bodies of the requests that send something. */
function watchBodies(page: Page): unknown[] {
  const bodies: unknown[] = [];
  page.on('request', (request) => {
    if (request.method() === 'POST' && request.url().endsWith('/api/commands')) bodies.push(request.postDataJSON());
  });
  return bodies;
}

for (const [language, looks] of Object.entries(LOOKS)) {
  test.describe(language, () => {
    test.use({ locale: language === 'fr' ? 'fr-FR' : 'en-GB' });

    test('the page is accessible, and nothing is cut off', async ({ office, page }) => {
      await page.goto('/commands');
      await expect(page.locator('html')).toHaveAttribute('lang', language);
      await expect(sent(page)).toHaveCount(4);
      await sent(page).nth(0).getByRole('button').click();
      await expect(page.getByTestId('receipts')).toBeVisible();
      await page
        .getByTestId('compose')
        .getByRole('radio', { name: language === 'fr' ? 'Liste de prix' : 'Price list' })
        .check({ force: true });
      await rows(page, 'product').fill('Pain');
      await send(page).click();
      await expect(rows(page, 'price')).toHaveAttribute('aria-invalid', 'true');
      for (const { viewport, colorScheme } of looks) {
        await page.setViewportSize(viewport);
        await page.emulateMedia({ colorScheme });
        expect(await findCut(page, 'main :is(h1, h2, p, label, .face, .button, li > span):visible')).toEqual([]);
        if (viewport !== TABLET) expect(await findViolations(office), colorScheme).toEqual([]);
      }
    });
  });
}

test('a message goes to one till with the keyboard alone, and its receipt appears by itself', async ({
  office,
  page,
}) => {
  await office.open();
  await page.getByRole('link', { name: 'Messages et prix' }).click();
  await expect(page).toHaveURL('/commands');
  await expect(page).toHaveTitle('Messages et prix · Comptoir');
  const bodies = watchBodies(page);
  await expect(send(page)).toHaveText('Envoyer aux 20 magasins');
  await page.locator('select[name=store]').focus();
  await page.locator('select[name=store]').selectOption('lyon-2');
  await expect(page.locator('select[name=till] option')).toHaveCount(3);
  await page.locator('select[name=till]').selectOption('till-2');
  await expect(send(page)).toHaveText('Envoyer à lyon-2/till-2');
  await page.locator('[name=text]').focus();
  await page.keyboard.press('Enter');
  await expect(failure(page)).toHaveText('Écrivez un message');
  await page.keyboard.type('Fermeture à 19 h');
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('accepted')).toHaveText('Envoi accepté, pour lyon-2/till-2');
  await expect(failure(page)).toHaveText('');
  expect(bodies).toEqual([{ to: 'lyon-2/till-2', command: { type: 'message', text: 'Fermeture à 19 h' } }]);
  await expect(sent(page)).toHaveCount(5);
  await expect(sent(page).first()).toContainText('1 sur 1 : Dans Kafka, pas encore reçu');
  // The next polls show it without any action.
  await expect(sent(page).first()).toContainText('1 sur 1 : Remis', { timeout: 15_000 });
  await expect(page.locator('[data-panel=sent]')).toContainText('ne prouve pas qu’une caisse');
});

test('a price list is pasted from a spreadsheet, and each wrong row says why', async ({ office, page }) => {
  await office.open();
  await page.goto('/commands');
  const bodies = watchBodies(page);
  await page.getByRole('radio', { name: 'Liste de prix' }).check({ force: true });
  await page.getByLabel('Coller des lignes').fill('Article;Prix\nPain;1,05\nLait;gratuit\nPain;2\n;3');
  await page.getByRole('button', { name: 'Ajouter ces lignes' }).click();
  await expect(page.getByText('4 lignes ajoutées')).toBeVisible();
  await expect(rows(page, 'product')).toHaveCount(4);
  const wrong = page.locator('[data-testid=compose] li .wrong');
  await expect(wrong).toHaveText([
    /Ce n’est pas un prix\u00a0; écrivez par exemple 1,05/,
    'Cet article est déjà dans la liste',
    'Le nom manque',
  ]);
  await send(page).click();
  await expect(failure(page)).toHaveText('3 lignes contiennent des erreurs');
  expect(bodies).toEqual([]);
  await rows(page, 'price').nth(1).fill('0,9');
  await page.getByRole('button', { name: 'Supprimer la ligne 4' }).click();
  await expect(rows(page, 'product').nth(2)).toBeFocused();
  await page.getByRole('button', { name: 'Supprimer la ligne 3' }).click();
  await expect(wrong).toHaveCount(0);
  await send(page).click();
  await expect(page.getByTestId('accepted')).toHaveText('Envoi accepté, pour Tous les magasins');
  const prices = [
    { product: 'Pain', unit_price: 1.05 },
    { product: 'Lait', unit_price: 0.9 },
  ];
  expect(bodies).toEqual([{ to: '*', command: { type: 'price_list', currency: 'EUR', prices } }]);
  await sent(page).first().getByRole('button').click();
  await expect(page.locator('[data-receipt]')).toHaveCount(20);
  await expect(page.locator('[data-state=missed]')).toContainText('Manqué par la passerelle');
});

test('an answer that got lost does not send twice, and a refusal names the field', async ({ office, page }) => {
  await office.open();
  let isLost = false;
  await page.route('**/api/commands', async (route) => {
    if (isLost) return route.fallback();
    isLost = true;
    await route.fetch();
    return route.abort();
  });
  await page.goto('/commands');
  await page.locator('[name=text]').fill('Bonjour');
  await send(page).click();
  await expect(failure(page)).toContainText('l’envoi n’aura lieu qu’une fois');
  await send(page).click();
  await expect(page.getByTestId('accepted')).toHaveText('Envoi accepté, pour Tous les magasins');
  await expect(sent(page)).toHaveCount(5);
  await page.locator('[name=text]').fill('refused');
  await send(page).click();
  await expect(failure(page)).toContainText('n’accepte pas cet envoi');
  await expect(failure(page)).toContainText('command.text');
  await expect(page.locator('[name=text]')).toHaveValue('refused');
});
