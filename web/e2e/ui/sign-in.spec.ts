/** Set-up, sign-in and the end of a session, as a person at a browser sees them. */
import type { BrowserContext, Page } from '@playwright/test';
import { THROTTLE_SECONDS, SETUP_CODE } from '../../dev/identity';
import { CLOCK } from '../../playwright.config';
import { Orders, Payments } from '../pages/app';
import { Identity, personWith } from '../pages/identity';
import { expect, SIMULATOR_ONLY, test } from './fixtures';

/** Another browser, with its own cookies. */
async function openPage(context: BrowserContext): Promise<Page> {
  const page = await context.newPage();
  await page.clock.setFixedTime(CLOCK);
  return page;
}

test.describe('a gateway fresh from the box', SIMULATOR_ONLY, () => {
  test.beforeEach(({ simulate }) => simulate({ identity: 'blank' }));

  test('asks for the set-up code and one account, then offers to pair a screen, then shows the dashboard', async ({
    page,
  }) => {
    const app = new Identity(page);
    const code = page.locator('input[name=code]');
    await page.goto('/orders');
    await expect(page).toHaveURL(/\/setup$/);
    await expect(code).toBeFocused();
    await expect(page.locator('nav')).toHaveCount(0);
    await page.locator('summary').click();
    await expect(page.locator('main')).toContainText('journalctl -u comptoir-gateway');
    await expect(page.locator('main')).toContainText('comptoir-setup-code.txt');

    await app.submit.click();
    await expect(code).toBeFocused();
    await expect(code).toHaveAttribute('aria-invalid', 'true');
    await code.fill('0000-0000');
    await app.name.fill('Camille');
    await app.password.fill('court');
    await app.submit.click();
    await expect(app.password).toBeFocused();
    await app.password.fill('tiroir-caisse-bleu');
    await app.submit.click();
    await expect(page.locator('main')).toContainText('Ce n’est pas le bon code');
    await expect(code).toBeFocused();
    await code.fill(SETUP_CODE);
    await app.submit.click();

    await expect(page.locator('h1')).toHaveText('Au tour de l’écran mural');
    // The page is open on the gateway itself (localhost), so it does not know a host name that the screen can open.
    const { port } = new URL(page.url());
    const step = page.getByTestId('setup-screen');
    await expect(step).toContainText('le nom ou l’adresse IP de la passerelle');
    await expect(step.locator('.address')).toHaveText(`https://PASSERELLE:${port}/login?screen`);
    await page.getByTestId('finish').click();
    await expect(page).toHaveURL(/\/dashboard$/);
    await app.waitForData();
    await expect(app.menu).toContainText('Camille');
    await page.goto('/setup');
    await expect(page).toHaveURL(/\/dashboard$/);
  });

  test('says in words that a password is too short, and how good a long one is', async ({ page }) => {
    const app = new Identity(page);
    await page.goto('/setup');
    const hint = page.locator('p[id$=hint]').last();
    for (const [password, text] of [
      ['bleu', 'Il manque encore 4 caractères'],
      ['corail-bleu', 'Correct'],
      ['corail-bleu-12', 'Bon'],
      ['trois caisses et un tiroir', 'Très bon'],
    ] as const) {
      await app.password.fill(password);
      await expect(hint).toContainText(text);
    }
    await expect(app.password).toHaveAttribute('type', 'password');
    await page.getByRole('button', { name: 'Afficher le mot de passe' }).click();
    await expect(app.password).toHaveAttribute('type', 'text');
  });
});

test.describe('signing in', SIMULATOR_ONLY, () => {
  test.beforeEach(({ simulate }) => simulate({ identity: 'staff' }));

  test('returns to the page that was asked for', async ({ page }) => {
    const app = new Identity(page);
    await page.goto('/orders');
    await expect(page).toHaveURL(/\/login\?next=%2Forders$/);
    await expect(app.name).toBeFocused();
    await app.signIn('cashier');
    await expect(page).toHaveURL(/\/orders$/);
    await expect(app.menu).toContainText(personWith('cashier').name);
    await page.reload();
    await expect(new Orders(page).rows()).toHaveCount(50);
  });

  test('never leaves this gateway, whatever the address says', async ({ page, baseURL }) => {
    const app = new Identity(page);
    for (const next of ['https://example.org/orders', '//example.org/orders', 'javascript:alert(1)']) {
      await page.context().clearCookies();
      await page.goto(`/login?next=${encodeURIComponent(next)}`);
      await app.signIn('viewer');
      expect(new URL(page.url()).pathname, next).toBe('/dashboard');
      expect(new URL(page.url()).host).toBe(new URL(baseURL ?? '').host);
    }
  });

  test('with a wrong password says so, and does not say which of the two is wrong', async ({ page }) => {
    const app = new Identity(page);
    await page.goto('/login');
    await app.submit.click();
    await expect(app.name).toBeFocused();
    await app.fillSignIn('Camille', 'faux');
    await expect(app.failure).toHaveText('Nom ou mot de passe incorrect.');
    await expect(app.password).toBeFocused();
    await app.fillSignIn('Personne', 'faux');
    await expect(app.failure).toHaveText('Nom ou mot de passe incorrect.');
    await expect(page).toHaveURL(/\/login$/);
  });

  test('after too many attempts says how long to wait, sends nothing meanwhile, and then works', async ({ page }) => {
    const app = new Identity(page);
    await page.goto('/login');
    const answers = async (attempt: () => Promise<void>) => {
      const answered = page.waitForResponse((r) => r.url().endsWith('/api/session') && r.request().method() === 'POST');
      await attempt();
      return (await answered).status();
    };
    const statuses: number[] = [];
    while (statuses.at(-1) !== 429) statuses.push(await answers(() => app.fillSignIn('Camille', 'faux')));
    expect(statuses.length).toBeGreaterThan(3);
    await expect(app.failure).toContainText(`Réessayez dans ${THROTTLE_SECONDS} secondes`);
    await expect(app.submit).toHaveAttribute('aria-disabled', 'true');
    let sent = 0;
    page.on('request', (request) => (sent += Number(request.method() === 'POST')));
    await app.submit.click({ force: true });
    await app.password.press('Enter');
    expect(sent).toBe(0);
    await expect(app.submit).toHaveAttribute('aria-disabled', 'false');
    await app.signIn('administrator');
  });

  test('is not offered over an unencrypted connection', async ({ page, simulate }) => {
    await simulate({ plain: true });
    await page.goto('/orders');
    await expect(page.getByTestId('plain')).toContainText('n’est pas chiffrée');
    await expect(page.getByRole('link', { name: 'Ouvrir la page chiffrée' })).toHaveAttribute('href', /^https:\/\//);
    await expect(page.locator('main input')).toHaveCount(0);
  });

  test('works after an update of the gateway, which no longer has the file of the page', async ({ page }) => {
    let isMissing = true;
    await page.route('**/assets/Login-*.js', (route) => {
      const answer = isMissing ? route.fulfill({ status: 404 }) : route.continue();
      isMissing = false;
      return answer;
    });
    await page.goto('/login');
    await expect(new Identity(page).name).toBeFocused();
    expect(isMissing).toBe(false);
  });

  test('works with the keyboard alone, and so does the menu', async ({ page }) => {
    const app = new Identity(page);
    const { name, password } = personWith('administrator');
    await page.goto('/login');
    await expect(app.name).toBeFocused();
    await page.keyboard.type(name);
    await page.keyboard.press('Tab');
    await page.keyboard.type(password);
    await page.keyboard.press('Enter');
    await app.waitForData();
    await app.menu.focus();
    await page.keyboard.press('Enter');
    await expect(app.menu).toHaveAttribute('aria-expanded', 'true');
    await page.keyboard.press('Escape');
    await expect(app.menu).toHaveAttribute('aria-expanded', 'false');
    await expect(app.menu).toBeFocused();
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await expect(page).toHaveURL(/\/users$/);
    await expect(page.locator('main')).toBeFocused();
    await expect(app.menu).toHaveAttribute('aria-expanded', 'false');
  });
});

test.describe('a session that ends', SIMULATOR_ONLY, () => {
  test.beforeEach(({ simulate }) => simulate({ identity: 'staff' }));

  test('while a page is open leads to the sign-in with a word why, and back with what was typed', async ({
    page,
    simulate,
  }) => {
    const app = new Identity(page);
    const payments = new Payments(page);
    await app.openAs('cashier', '/payments');
    await payments.fill('o-4711', '12,50');
    await simulate({ endSessionsOf: personWith('cashier').name });
    await expect(page).toHaveURL(/\/login\?next=%2Fpayments$/, { timeout: 5000 });
    await expect(app.reason).toContainText('Votre session est terminée');
    await expect(page.locator('main')).not.toContainText('€');
    await app.signIn('cashier');
    await expect(page).toHaveURL(/\/payments$/);
    await expect(payments.field('order_id')).toHaveValue('o-4711');
    await expect(payments.field('amount')).toHaveValue('12,50');
  });

  test('gives what was typed to nobody else', async ({ page, simulate }) => {
    const app = new Identity(page);
    const payments = new Payments(page);
    await app.openAs('cashier', '/payments');
    await payments.fill('o-4711', '12,50');
    await simulate({ endSessionsOf: personWith('cashier').name });
    await expect(app.reason).toBeVisible();
    await app.signIn('manager');
    await expect(page).toHaveURL(/\/payments$/);
    await expect(payments.field('order_id')).toHaveValue('');
  });

  test('is followed by no further request', async ({ page, simulate }) => {
    const app = new Identity(page);
    await app.openAs('cashier', '/orders');
    await simulate({ endSessionsOf: personWith('cashier').name });
    await expect(app.reason).toBeVisible();
    await page.waitForLoadState('networkidle');
    const requests: string[] = [];
    page.on('request', (request) => requests.push(request.url()));
    page.on('websocket', (socket) => requests.push(socket.url()));
    // Several times the longest reconnection delay, measured in the page's own time.
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 6000)));
    expect(requests).toEqual([]);
  });

  test.describe('with a service worker', () => {
    test.use({ serviceWorkers: 'allow' });

    test('by signing out leaves nothing on the page, nor behind the back button, nor in a cache', async ({ page }) => {
      const app = new Identity(page);
      await app.openAs('administrator', '/audit');
      await expect(app.entries()).not.toHaveCount(0);
      await page.evaluate(() => navigator.serviceWorker.ready);
      await app.choose('users');
      await app.signOut();
      await expect(app.reason).toContainText('Vous êtes déconnecté');
      await page.goBack();
      await expect(page).toHaveURL(/\/login/);
      await expect(app.name).toBeVisible();
      await expect(page.locator('body')).not.toContainText('192.168.1.20');
      const cached = await page.evaluate(async () => {
        const found: [string, string][] = [];
        for (const name of await caches.keys()) {
          const cache = await caches.open(name);
          for (const request of await cache.keys()) {
            const text = await (await cache.match(request))!.text();
            found.push([new URL(request.url).pathname, text]);
          }
        }
        return found;
      });
      expect(cached.map(([path]) => path)).toContain('/');
      expect(cached.filter(([path]) => path.startsWith('/api'))).toEqual([]);
      expect(cached.filter(([, text]) => text.includes('Camille') || text.includes('192.168.1.20'))).toEqual([]);
      const answer = await page.request.get('/api/session');
      expect(((await answer.json()) as { user: unknown }).user).toBeNull();
    });
  });

  test('in another tab ends in this one', async ({ page, context }) => {
    const app = new Identity(page);
    await app.openAs('manager', '/dashboard');
    const other = new Identity(await openPage(context));
    await other.page.goto('/orders');
    await other.waitForData();
    await other.signOut();
    await expect(page).toHaveURL(/\/login/, { timeout: 5000 });
    await expect(app.reason).toContainText('Votre session est terminée');
  });
});

test.describe('without sign-in', SIMULATOR_ONLY, () => {
  test('the page warns, unless it is the demo, and has no account pages', async ({ page, simulate }) => {
    const orders = new Orders(page);
    const warning = page.getByTestId('open-warning');
    await orders.open('orders');
    await expect(warning).toHaveCount(0);
    await expect(page.getByTestId('user-menu')).toHaveCount(0);
    await simulate({ demo: false });
    await expect(warning).toContainText('n’importe qui sur ce réseau');
    for (const path of ['users', 'login']) {
      await page.goto(`/${path}`);
      await expect(page).toHaveURL(/\/dashboard$/);
    }
  });
});
