/** Users, sessions, tokens, one's own account, and the audit log. */
import type { AuditPage } from '../../src/lib/api/identity';
import { Identity, personWith } from '../pages/identity';
import { expect, SIMULATOR_ONLY, test } from './fixtures';

test.beforeEach(({ simulate }) => simulate({ identity: 'staff' }));

test('an administrator adds, changes and removes a user', SIMULATOR_ONLY, async ({ page, request }) => {
  const app = new Identity(page);
  const form = page.getByTestId('user-form');
  const signIn = async (password: string) =>
    (await request.post('/api/session', { data: { name: 'Noé', password } })).status();
  await app.openAs('administrator', '/users');
  await page.getByTestId('add-user').click();
  const name = form.locator('input[name=new-user]');
  await expect(name).toBeFocused();
  await name.fill('hugo');
  await form.locator('select').selectOption('cashier');
  await form.locator('input[name=password]').fill('petit-rideau-vert');
  await form.locator('[type=submit]').click();
  await expect(form).toContainText('Ce nom est déjà pris');
  await expect(name).toBeFocused();
  await name.fill('Noé');
  await form.locator('[type=submit]').click();
  await expect(app.toasts).toContainText('Noé peut maintenant se connecter');
  await expect(page.getByTestId('add-user')).toBeFocused();
  await expect(app.user('Noé')).toContainText('Caisse');
  expect(await signIn('petit-rideau-vert')).toBe(200);

  await app.user('Noé').getByRole('button', { name: 'Modifier Noé' }).click();
  await form.locator('select').selectOption('manager');
  await form.locator('input[name=password]').fill('court');
  await form.locator('[type=submit]').click();
  await expect(form.locator('input[name=password]')).toBeFocused();
  await form.locator('input[name=password]').fill('grand-rideau-rouge');
  await form.locator('[type=submit]').click();
  await expect(app.user('Noé')).toContainText('Responsable');
  expect([await signIn('petit-rideau-vert'), await signIn('grand-rideau-rouge')]).toEqual([401, 200]);
  await page.reload();
  await expect(app.user('Noé').locator('td').nth(3)).toHaveText('1');

  await app.user('Noé').getByRole('button', { name: 'Supprimer Noé' }).click();
  await expect(app.confirm.getByRole('button', { name: 'Annuler' })).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(app.confirm).toHaveCount(0);
  await expect(app.user('Noé')).toHaveCount(1);
  await app.user('Noé').getByRole('button', { name: 'Supprimer Noé' }).click();
  await app.confirm.getByRole('button', { name: 'Supprimer' }).click();
  await expect(app.user('Noé')).toHaveCount(0);
  expect(await signIn('grand-rideau-rouge')).toBe(401);
});

test('users are sorted as in a dictionary', SIMULATOR_ONLY, async ({ page }) => {
  const app = new Identity(page);
  await app.openAs('administrator', '/account');
  for (const name of ['Zoé', 'élodie', 'Éric']) {
    await page.request.post('/api/users', { data: { name, role: 'viewer', password: 'petit-rideau-vert' } });
  }
  await page.goto('/users');
  await app.waitForData();
  const names = await app
    .panel('users')
    .locator('tr[data-user]')
    .evaluateAll((rows) => rows.map((row) => row.getAttribute('data-user')));
  expect(names).toEqual(['Camille', 'élodie', 'Éric', 'Hugo', 'Inès', 'Margaux', 'Zoé']);
});

test('the last administrator can be neither removed nor demoted', SIMULATOR_ONLY, async ({ page }) => {
  const app = new Identity(page);
  const { name } = personWith('administrator');
  await app.openAs('administrator', '/users');
  await app.user(name).getByRole('button', { name: 'Supprimer' }).click();
  await app.confirm.getByRole('button', { name: 'Supprimer' }).click();
  await expect(app.toasts).toContainText('Il faut garder au moins un administrateur');
  await app.user(name).getByRole('button', { name: 'Modifier' }).click();
  await page.getByTestId('user-form').locator('select').selectOption('viewer');
  await page.getByTestId('user-form').locator('[type=submit]').click();
  await expect(page.getByTestId('user-form')).toContainText('Il faut garder au moins un administrateur');
  await expect(app.user(name)).toHaveCount(1);
});

test(
  'an administrator ends a session, and its page asks to sign in again',
  SIMULATOR_ONLY,
  async ({ page, browser }) => {
    const app = new Identity(page);
    const other = new Identity(await (await browser.newContext()).newPage());
    await other.openAs('cashier', '/dashboard');
    await app.openAs('administrator', '/users');
    const { name } = personWith('cashier');
    const row = app.panel('sessions').locator(`tr[data-user="${name}"]`);
    await expect(row).toContainText('Chrome · Linux');
    await row.getByRole('button').click();
    await app.confirm.getByRole('button', { name: 'Terminer' }).click();
    await expect(row).toHaveCount(0);
    await expect(other.page).toHaveURL(/\/login/, { timeout: 5000 });
    await other.page.context().close();
  },
);

test('a token is shown once', SIMULATOR_ONLY, async ({ page, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const app = new Identity(page);
  await app.openAs('administrator', '/users');
  await page.getByTestId('add-token').click();
  await expect(page.locator('input[name=token-name]')).toBeFocused();
  await page.keyboard.type('bilan');
  await page.getByTestId('token-form').locator('select').selectOption('manager');
  await page.getByTestId('token-form').locator('[type=submit]').click();
  const created = page.getByTestId('new-token');
  const token = await created.locator('input').inputValue();
  expect(token).toMatch(/^comptoir_[0-9a-f]{32}$/);
  await created.getByRole('button', { name: 'Copier' }).click();
  await expect(created.getByRole('button', { name: 'Copié', exact: true })).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(token);
  await created.getByRole('button', { name: 'C’est copié' }).click();
  await expect(created).toHaveCount(0);
  const row = app.panel('tokens').locator('tbody tr').filter({ hasText: 'bilan' });
  await expect(row).toContainText('Responsable');
  await expect(row.locator('td').nth(3)).toHaveText('jamais');
  await page.reload();
  await expect(row).toHaveCount(1);
  expect(await page.content()).not.toContain(token);
  await row.getByRole('button').click();
  await app.confirm.getByRole('button', { name: 'Supprimer' }).click();
  await expect(row).toHaveCount(0);
});

test('a person changes their own password, and keeps this session only', SIMULATOR_ONLY, async ({ page, browser }) => {
  const app = new Identity(page);
  const other = new Identity(await (await browser.newContext()).newPage());
  await other.openAs('manager', '/dashboard');
  await app.openAs('manager', '/account');
  const { name, password } = personWith('manager');
  await expect(app.panel('sessions').locator('tbody tr')).toHaveCount(2);
  const form = page.getByTestId('password-form');
  const change = async (current: string, next: string) => {
    await form.locator('input[name=current]').fill(current);
    await form.locator('input[name=password]').fill(next);
    await form.locator('[type=submit]').click();
  };
  await change('faux-mot-de-passe', 'marbre-et-laiton');
  await expect(form).toContainText('Ce n’est pas votre mot de passe actuel');
  await expect(form.locator('input[name=current]')).toBeFocused();
  await change(password, 'marbre-et-laiton');
  await expect(app.toasts).toContainText('Votre mot de passe a été changé');
  await expect(other.page).toHaveURL(/\/login/, { timeout: 5000 });
  await other.fillSignIn(name, 'marbre-et-laiton');
  await other.waitForData();
  await other.page.context().close();
});

test.describe('the audit log', SIMULATOR_ONLY, () => {
  test('shows who changed what, with the fields that differ', async ({ page }) => {
    const app = new Identity(page);
    await app.openAs('manager', '/audit');
    const change = app.entries().filter({ hasText: 'Utilisateur modifié' }).first();
    await expect(change).toContainText('Camille');
    await expect(change).toContainText('192.168.1.20');
    await expect(change.locator('del')).toHaveText('Caisse');
    await expect(change.locator('ins')).toHaveText('Responsable');
    await expect(app.entries().filter({ hasText: 'Paiement enregistré' }).first()).toContainText('€');
    await expect(app.panel('audit')).not.toContainText(/[{}"]|undefined|null/);
  });

  test('has older entries, and a filter over those that are loaded', async ({ page, request }) => {
    const app = new Identity(page);
    const { name, password } = personWith('manager');
    await request.post('/api/session', { data: { name, password } });
    await app.openAs('manager', '/audit');
    await expect(app.entries()).toHaveCount(50);
    while ((await page.getByTestId('older').count()) > 0) {
      const before = await app.entries().count();
      await page.getByTestId('older').click();
      await expect.poll(() => app.entries().count()).toBeGreaterThan(before);
    }
    const { entries } = (await (await request.get('/api/audit?limit=200')).json()) as AuditPage;
    const shown = await app.entries().evaluateAll((rows) => rows.map((row) => row.getAttribute('data-entry')));
    expect(shown).toEqual(entries.map(({ id }) => id));
    expect(new Set(shown).size).toBe(shown.length);

    await page.getByTestId('audit-filter').selectOption('sign-in-failed');
    const failed = entries.filter(({ action }) => action === 'sign-in-failed').length;
    expect(failed).toBeGreaterThan(0);
    await expect(app.entries()).toHaveCount(failed);
    await page.getByTestId('audit-filter').selectOption('screen-paired');
    await expect(app.panel('audit')).toContainText('Aucune ligne de ce type');
  });

  test('keeps its filter in the address', async ({ page }) => {
    const app = new Identity(page);
    await app.openAs('manager', '/audit');
    await page.getByTestId('audit-filter').selectOption('sign-in-failed');
    const failed = await app.entries().count();
    await page.reload();
    await expect(page.getByTestId('audit-filter')).toHaveValue('sign-in-failed');
    await expect(app.entries()).toHaveCount(failed);
    await app.go('orders');
    await page.goBack();
    await expect(page.getByTestId('audit-filter')).toHaveValue('sign-in-failed');
    await page.getByTestId('audit-filter').selectOption('');
    await expect(page).toHaveURL(/\/audit$/);
  });

  test('promises no more entries of failed sign-ins than the gateway writes', async ({ page }) => {
    const app = new Identity(page);
    await app.openAs('manager', '/audit');
    await expect(page.locator('.head')).toContainText('au plus une ligne par adresse et par minute');
    await expect(page.locator('.head')).not.toContainText('chaque');
  });

  test('has what a person has just done', async ({ page }) => {
    const app = new Identity(page);
    await app.openAs('manager', '/orders');
    await page.getByTestId('create').click();
    await expect(app.toasts).toContainText('enregistrée');
    await app.choose('audit');
    await expect(app.entries().first()).toContainText('Commande enregistrée');
    await expect(app.entries().first()).toContainText(personWith('manager').name);
  });
});
