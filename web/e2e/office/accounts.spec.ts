/** The office's pages of accounts, on the simulated office. */
import { expect, type Browser, type Page } from '@playwright/test';
import { OFFICE_STAFF } from '../../dev/officeAccounts';
import type { Role } from '../../src/lib/api/identity';
import { findViolations } from '../pages/axe';
import { Identity } from '../pages/identity';
import { findCut, LOOKS, test } from './fixtures';

const NARROW = { width: 320, height: 640 };
const person = (role: Role) => OFFICE_STAFF.find((one) => one.role === role)!;

/** Signs in without the form. */
async function signIn(page: Page, name: string, password: string): Promise<void> {
  const answer = await page.request.post('/api/session', { data: { name, password } });
  expect(answer.status()).toBe(200);
}

async function openAs(page: Page, role: Role, path: string): Promise<void> {
  const { name, password } = person(role);
  await signIn(page, name, password);
  await page.goto(path);
  await expect(page.locator('main h1')).toBeVisible();
  await expect(page.locator('main .skeleton')).toHaveCount(0);
}

async function openElsewhere(browser: Browser): Promise<Page> {
  const context = await browser.newContext();
  return context.newPage();
}

const shopsField = (page: Page) => page.getByTestId('shops-field');
const chooseSome = (page: Page) =>
  shopsField(page).getByRole('radio', { name: 'Certains seulement' }).check({ force: true });
const open = (page: Page, row: string) => page.getByRole('button', { name: row });

test.beforeEach(({ office, simulate }) => {
  void office;
  return simulate({ hasAccounts: true });
});

for (const [language, looks] of Object.entries(LOOKS)) {
  test.describe(language, () => {
    test.use({ locale: language === 'fr' ? 'fr-FR' : 'en-GB' });

    test('the pages are accessible, and nothing is cut off at any width', async ({ office, page }) => {
      test.slow();
      const check = async (name: string) => {
        for (const { viewport, colorScheme } of looks) {
          await page.setViewportSize(viewport);
          await page.emulateMedia({ colorScheme });
          const texts = 'main :is(h1, h2, h3, p, label, .button, .badge, td > b):not(.visually-hidden):visible';
          expect(await findCut(page, texts), `${name} at ${viewport.width}`).toEqual([]);
          expect(await findViolations(office), `${name} at ${viewport.width}`).toEqual([]);
        }
        await page.setViewportSize(NARROW);
        expect(
          await findCut(page, 'main :is(h1, h2, form, fieldset, .button):not(.visually-hidden):visible'),
          `${name} at 320`,
        ).toEqual([]);
      };
      await openAs(page, 'administrator', '/users');
      await expect(page.locator('html')).toHaveAttribute('lang', language);
      await page.getByTestId('add-token').click();
      await page.locator('input[name=token-name]').fill('bilan');
      await page.keyboard.press('Enter');
      await expect(page.getByTestId('new-token')).toBeVisible();
      await page.locator('tr[data-user=Camille]').getByRole('button').first().click();
      await shopsField(page).getByRole('checkbox').first().check();
      await check('users, with a form');
      await page.getByTestId('add-user').click();
      await page.getByTestId('user-form').locator('[type=submit]').click();
      await expect(page.locator('[aria-invalid=true]')).toHaveCount(2);
      await check('users, with errors');
      await page.goto('/audit');
      await expect(page.locator('tr[data-entry]').first()).toBeVisible();
      await check('audit');
      await page.getByTestId('user-menu').click();
      expect(await findViolations(office), 'menu').toEqual([]);
      await page.goto('/account');
      await expect(page.getByTestId('password-form')).toBeVisible();
      await check('account');
      await page.context().clearCookies();
      await openAs(page, 'viewer', '/users');
      await check('forbidden');
    });
  });
}

test('an administrator adds a user with two shops, who then sees only those', async ({ page, browser }) => {
  const app = new Identity(page);
  await openAs(page, 'administrator', '/');
  await app.choose('users');
  await expect(page).toHaveTitle('Utilisateurs · Comptoir');
  const form = page.getByTestId('user-form');
  await page.getByTestId('add-user').click();
  await expect(form.locator('input[name=new-user]')).toBeFocused();
  await page.keyboard.type('camille');
  await form.locator('select').selectOption('viewer');
  await form.locator('input[name=password]').fill('petit-rideau-vert');
  await chooseSome(page);
  await form.locator('[type=submit]').click();
  await expect(form).toContainText('Choisissez au moins un magasin');
  const search = shopsField(page).getByRole('searchbox');
  await expect(search).toBeFocused();
  await page.keyboard.type('nice-3');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  await expect(shopsField(page)).toContainText('1 magasin choisi');
  // A shop that the office has not heard from yet.
  await search.fill('metz-99');
  await page.getByRole('button', { name: 'Ajouter metz-99' }).click();
  await expect(search).toBeFocused();
  await expect(shopsField(page)).toContainText('2 magasins choisis');
  await form.locator('[type=submit]').click();
  await expect(form).toContainText('Ce nom est déjà pris');
  await expect(form.locator('input[name=new-user]')).toBeFocused();
  await form.locator('input[name=new-user]').fill('Noé');
  await form.locator('[type=submit]').click();
  await expect(app.toasts).toContainText('Noé peut maintenant se connecter');
  await expect(page.getByTestId('add-user')).toBeFocused();
  await expect(app.user('Noé')).toContainText('nice-3, metz-99');

  const other = await openElsewhere(browser);
  await other.goto('/');
  await new Identity(other).fillSignIn('Noé', 'petit-rideau-vert');
  await expect(other.locator('main [data-store]')).toHaveCount(1);
  await expect(other.locator('main [data-store="nice-3"]')).toBeVisible();
  await other.goto('/sales');
  await expect(other.locator('[data-panel=sales] [data-id]').first()).toBeVisible();
  const sales = (await (await other.request.get('/api/sales?limit=500')).json()) as { items: { store: string }[] };
  expect(new Set(sales.items.map(({ store }) => store))).toEqual(new Set(['nice-3']));
  await other.getByTestId('user-menu').click();
  await expect(other.locator('.menu')).toContainText('nice-3, metz-99');
  await other.context().close();
});

test('an administrator changes shops, role and password, and removes a user', async ({ page, request }) => {
  const app = new Identity(page);
  await openAs(page, 'administrator', '/users');
  const bodies: unknown[] = [];
  page.on('request', (sent) => {
    if (sent.method() === 'PATCH') bodies.push(sent.postDataJSON());
  });
  const form = page.getByTestId('user-form');
  await open(page, 'Modifier Camille').click();
  await shopsField(page).getByRole('checkbox', { name: 'nice-3' }).check();
  await form.locator('[type=submit]').click();
  await expect(app.user('Camille')).toContainText('paris-1, lyon-2, nice-3');
  await open(page, 'Modifier Camille').click();
  await form.locator('select').selectOption('administrator');
  await expect(shopsField(page)).toContainText('Un administrateur a tous les magasins');
  await form.locator('[type=submit]').click();
  await expect(app.user('Camille')).toContainText('Administrateur');
  await open(page, 'Modifier Camille').click();
  await form.locator('input[name=password]').fill('grand-rideau-rouge');
  await form.locator('[type=submit]').click();
  await expect(form).toHaveCount(0);
  expect(bodies).toEqual([
    { role: 'manager', shops: ['paris-1', 'lyon-2', 'nice-3'] },
    { role: 'administrator', shops: null },
    { password: 'grand-rideau-rouge' },
  ]);
  const data = { name: 'Camille', password: 'grand-rideau-rouge' };
  expect((await request.post('/api/session', { data })).status()).toBe(200);
  await open(page, 'Supprimer Camille').click();
  await expect(app.confirm.getByRole('button', { name: 'Annuler' })).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(app.user('Camille')).toHaveCount(1);
  await open(page, 'Supprimer Camille').click();
  await app.confirm.getByRole('button', { name: 'Supprimer' }).click();
  await expect(app.user('Camille')).toHaveCount(0);
  expect((await request.post('/api/session', { data })).status()).toBe(401);
  await open(page, 'Supprimer Aurore').click();
  await app.confirm.getByRole('button', { name: 'Supprimer' }).click();
  await expect(app.toasts).toContainText('Il faut garder au moins un administrateur');
});

test('a token is shown once, and is removed', async ({ page }) => {
  const app = new Identity(page);
  await openAs(page, 'administrator', '/users');
  await page.getByTestId('add-token').click();
  await expect(page.locator('input[name=token-name]')).toBeFocused();
  await page.keyboard.type('bilan');
  await chooseSome(page);
  await shopsField(page).getByRole('checkbox', { name: 'paris-1', exact: true }).check();
  await page.getByTestId('token-form').locator('[type=submit]').click();
  const created = page.getByTestId('new-token');
  const token = await created.locator('input').inputValue();
  expect(token).toMatch(/^comptoir_/);
  await created.getByRole('button', { name: 'C’est copié' }).click();
  await expect(created).toHaveCount(0);
  const row = app.panel('tokens').locator('tbody tr').filter({ hasText: 'bilan' });
  await expect(row).toContainText('paris-1');
  await page.reload();
  await expect(row).toHaveCount(1);
  expect(await page.content()).not.toContain(token);
  await row.getByRole('button').click();
  await app.confirm.getByRole('button', { name: 'Supprimer' }).click();
  await expect(row).toHaveCount(0);
});

test('a session that an administrator ends is gone, and its page asks to sign in', async ({ page, browser }) => {
  const app = new Identity(page);
  const other = await openElsewhere(browser);
  await openAs(other, 'viewer', '/');
  await openAs(page, 'administrator', '/users');
  const row = app.panel('sessions').locator('tr[data-user="Inès"]');
  await expect(row).toContainText('Chrome · Linux');
  await row.getByRole('button').click();
  await app.confirm.getByRole('button', { name: 'Terminer' }).click();
  await expect(row).toHaveCount(0);
  await expect(other).toHaveURL(/\/login/);
  await other.context().close();
});

test('the audit log has who changed what, page by page', async ({ page }) => {
  const app = new Identity(page);
  await openAs(page, 'administrator', '/users');
  await open(page, 'Modifier Camille').click();
  await shopsField(page).getByRole('checkbox', { name: 'lyon-2' }).uncheck();
  await page.getByTestId('user-form').locator('[type=submit]').click();
  await expect(app.toasts).toContainText('Camille');
  await app.choose('audit');
  await expect(app.entries().first()).toContainText('Utilisateur modifié');
  await expect(app.entries().first().locator('del')).toHaveText('paris-1, lyon-2');
  await expect(app.entries().first().locator('ins')).toHaveText('paris-1');
  await expect(app.entries()).toHaveCount(50);
  await page.getByTestId('older').click();
  await expect(page.getByTestId('older')).toHaveCount(0);
  await page.getByTestId('audit-filter').selectOption('user-added');
  await expect(page).toHaveURL(/action=user-added/);
  await expect(app.entries()).toHaveCount(OFFICE_STAFF.length);
  await expect(app.entries().last()).toContainText('Ligne de commande');
  await expect(app.entries().last()).toContainText('Tous les magasins');
  await expect(app.panel('audit')).not.toContainText(/[{}"]|undefined|null/);
});

test('a viewer has no links to these pages, and gets no data', async ({ page }) => {
  const refused: number[] = [];
  page.on('response', (response) => {
    if (/\/api\/(users|tokens|audit)/.test(response.url())) refused.push(response.status());
  });
  await openAs(page, 'viewer', '/');
  await page.getByTestId('user-menu').click();
  await expect(page.locator('.menu a')).toHaveText(['Mon compte']);
  for (const path of ['/users', '/audit']) {
    await page.goto(path);
    await expect(page.locator('main')).toContainText('Vous n’avez pas accès à cette page');
    await expect(page.locator('[data-panel]')).toHaveCount(0);
  }
  // The pages do not even ask.
  expect(refused).toEqual([]);
  for (const path of ['/api/users', '/api/tokens', '/api/audit'])
    expect((await page.request.get(path)).status(), path).toBe(403);
});

test('users change their own password, and see only their own sessions', async ({ page, browser, request }) => {
  const app = new Identity(page);
  const other = await openElsewhere(browser);
  await openAs(other, 'administrator', '/');
  await openAs(page, 'manager', '/account');
  await expect(page.locator('.head')).toContainText('Responsable · paris-1, lyon-2');
  await expect(app.panel('sessions').locator('tbody tr')).toHaveCount(1);
  const form = page.getByTestId('password-form');
  await form.locator('input[name=current]').fill('faux-mot-de-passe');
  await form.locator('input[name=password]').fill('marbre-et-laiton');
  await form.locator('[type=submit]').click();
  await expect(form).toContainText('Ce n’est pas votre mot de passe actuel');
  await form.locator('input[name=current]').fill(person('manager').password);
  await form.locator('[type=submit]').click();
  await expect(app.toasts).toContainText('Votre mot de passe a été changé');
  const data = { name: 'Camille', password: 'marbre-et-laiton' };
  expect((await request.post('/api/session', { data })).status()).toBe(200);
  await other.context().close();
});

test('lists that cannot be read say so, and the audit log offers to try again', async ({ page }) => {
  const app = new Identity(page);
  await openAs(page, 'administrator', '/account');
  let isBroken = true;
  await page.route(/\/api\/(users|sessions|tokens|audit)/, (route) =>
    isBroken ? route.fulfill({ status: 502, body: 'Bad gateway' }) : route.fallback(),
  );
  await app.choose('users');
  for (const name of ['users', 'sessions', 'tokens'])
    await expect(app.panel(name).getByTestId('failure')).toContainText('502');
  await app.choose('audit');
  await expect(app.panel('audit').getByTestId('failure')).toContainText('502');
  isBroken = false;
  await app.panel('audit').getByRole('button', { name: 'Réessayer' }).click();
  await expect(app.entries().first()).toBeVisible();
  await expect(app.panel('audit').getByTestId('failure')).toHaveCount(0);
});

test('without accounts, these pages lead to the shops', async ({ page, simulate }) => {
  await simulate({});
  await page.goto('/users');
  await expect(page).toHaveURL('/');
});
