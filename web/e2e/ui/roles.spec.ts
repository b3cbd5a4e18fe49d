/** What each role sees, and what happens when a role changes or is too low. */
import { ROLES } from '../../src/lib/api/identity';
import { Deliveries, Orders, Payments } from '../pages/app';
import { Identity, personWith } from '../pages/identity';
import { expect, SIMULATOR_ONLY, test } from './fixtures';

test.beforeEach(({ simulate }) => simulate({ identity: 'staff' }));

for (const role of ROLES) {
  const rank = ROLES.indexOf(role);
  const count = (isVisible: boolean) => Number(isVisible);

  test(`the role ${role} shows what it may do, and nothing else`, SIMULATOR_ONLY, async ({ page }) => {
    const app = new Identity(page);
    await app.openAs(role, '/orders');
    await expect(new Orders(page).create()).toHaveCount(count(rank >= 1));
    await expect(new Orders(page).auto()).toHaveCount(count(rank >= 1));
    await app.go('payments');
    await expect(new Payments(page).field('amount')).toHaveCount(count(rank >= 1));
    await app.go('deliveries');
    await expect(new Deliveries(page).items().first()).toBeVisible();
    await expect(page.getByTestId('create')).toHaveCount(count(rank >= 1));
    await app.go('gateway');
    await app.waitForData();
    await expect(app.panel('dead-letters')).toHaveCount(count(rank >= 2));
    await app.choose('account');
    await app.waitForData();
    await expect(page.getByTestId('pair-form')).toHaveCount(count(rank >= 2));
    await app.menu.click();
    const pages = ['account', ...(rank >= 3 ? ['users'] : []), ...(rank >= 2 ? ['audit'] : [])];
    const shown = page.locator('.menu a').evaluateAll((links) => links.map((link) => link.getAttribute('data-page')));
    expect(await shown).toEqual(pages);
    for (const name of ['users', 'audit']) {
      await page.goto(`/${name}`);
      await app.waitForData();
      const refusal = page.getByText('Vous n’avez pas accès à cette page');
      await expect(refusal).toHaveCount(count(!pages.includes(name)));
      await expect(app.panel(name)).toHaveCount(count(pages.includes(name)));
    }
  });
}

test('a page without e-mails and addresses has no gaps and no "null"', SIMULATOR_ONLY, async ({ page }) => {
  const app = new Identity(page);
  await app.openAs('viewer', '/deliveries');
  await expect(new Deliveries(page).items().first()).toContainText(/Commande o-/);
  for (const name of ['dashboard', 'payments', 'deliveries', 'orders'] as const) {
    await app.go(name);
    await app.waitForData();
    await expect(page.locator('main'), name).not.toContainText(/null|undefined|@|rue /);
  }
  const orders = new Orders(page);
  await orders.rows().first().getByRole('button').click();
  await expect(orders.life()).toContainText('par ');
  await expect(orders.life()).not.toContainText(/null|undefined|rue /);
});

test(
  'a role that is lowered while a page is open takes the actions away',
  SIMULATOR_ONLY,
  async ({ page, browser }) => {
    const app = new Identity(page);
    const orders = new Orders(page);
    await app.openAs('cashier', '/orders');
    const admin = await browser.newContext();
    const { name, password } = personWith('administrator');
    await admin.request.post('/api/session', { data: { name, password } });
    const answer = await admin.request.patch(`/api/users/${personWith('cashier').name}`, { data: { role: 'viewer' } });
    expect(answer.status()).toBe(200);
    await expect(orders.create()).toHaveCount(0);
    await expect(app.bar).toHaveAttribute('data-tone', 'good');
    await expect(orders.rows()).toHaveCount(50);
    await admin.close();
  },
);

test('a page is left when the role becomes too low for it', SIMULATOR_ONLY, async ({ page, browser }) => {
  const app = new Identity(page);
  await app.openAs('manager', '/audit');
  await expect(app.entries()).not.toHaveCount(0);
  const admin = await browser.newContext();
  const { name, password } = personWith('administrator');
  await admin.request.post('/api/session', { data: { name, password } });
  await admin.request.patch(`/api/users/${personWith('manager').name}`, { data: { role: 'viewer' } });
  await expect(page.getByText('Vous n’avez pas accès à cette page')).toBeVisible({ timeout: 5000 });
  await expect(app.panel('audit')).toHaveCount(0);
  await app.go('deliveries');
  await expect(page.locator('main')).not.toContainText(/rue |avenue /);
  await admin.close();
});

test('a refused request takes what the role may no longer do off the page', SIMULATOR_ONLY, async ({ page }) => {
  const app = new Identity(page);
  await app.openAs('manager', '/audit');
  const answer = (type: string) =>
    JSON.stringify({ type: `urn:comptoir:problem:${type}`, title: '', status: 403, detail: '', stored: 'no' });
  await page.route('**/api/audit?**', (route) =>
    route.fulfill({ status: 403, contentType: 'application/problem+json', body: answer('forbidden') }),
  );
  await page.route('**/api/session', (route) =>
    route.fulfill({
      json: {
        setup_required: false,
        open: false,
        plain: false,
        user: { name: personWith('manager').name, role: 'viewer', kind: 'person' },
      },
    }),
  );
  await page.getByTestId('older').click();
  await expect(page.getByText('Vous n’avez pas accès à cette page')).toBeVisible();
  await expect(app.panel('audit')).toHaveCount(0);
});

test('a refusal is explained in the reader’s language', SIMULATOR_ONLY, async ({ page }) => {
  const app = new Identity(page);
  const orders = new Orders(page);
  await app.openAs('cashier', '/orders');
  await page.route('**/api/orders', (route) =>
    route.fulfill({
      status: 403,
      contentType: 'application/problem+json',
      body: JSON.stringify({
        type: 'urn:comptoir:problem:forbidden',
        title: 'Forbidden',
        status: 403,
        detail: 'POST /api/orders needs the role manager.',
        stored: 'no',
      }),
    }),
  );
  await orders.create().click();
  await expect(app.toasts).toContainText('La commande n’a pas été enregistrée. Votre rôle ne le permet pas.');
});
