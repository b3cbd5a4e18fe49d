/**
 * Screenshots of every page, for people to look at. Git ignores the folder. To take only some of them:
 * SHOTS=dashboard-laptop npm run screenshots
 */
import { expect, test, type Page } from '@playwright/test';
import type { Scenario } from '../dev/api';
import { CLOCK } from '../playwright.config';
import { App, Gateway, Orders, PAGES, Payments } from './pages/app';
import { Identity } from './pages/identity';
import { Wall } from './pages/wall';

const SCREENS = {
  laptop: { width: 1440, height: 900 },
  phone: { width: 390, height: 844 },
  tablet: { width: 834, height: 1112 },
  wall: { width: 1920, height: 1080 },
};
const selected = new RegExp(process.env.SHOTS ?? '.');

const simulate = (page: Page, scenario: Scenario) => page.request.post('/__sim', { data: scenario });

test.beforeEach(async ({ page }) => {
  await page.clock.setFixedTime(CLOCK);
  // No live sales: the same rows in every screenshot.
  await simulate(page, { reset: true, rate: 0 });
});

/** Takes a screenshot once the charts are drawn and no row moves. */
async function shoot(app: App, name: string, fullPage = false) {
  await app.waitForCharts();
  await app.page.waitForFunction(() =>
    document.getAnimations().every(({ effect }) => effect?.getComputedTiming().iterations === Infinity),
  );
  await app.page.screenshot({ path: `screenshots/${name}.png`, fullPage });
}

for (const [screen, viewport] of Object.entries(SCREENS)) {
  for (const language of ['fr', 'en']) {
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const name of PAGES) {
        const title = `${name}-${screen}-${language}-${colorScheme}`;
        if (!selected.test(title)) continue;
        test.describe(title, () => {
          test.use({ viewport, colorScheme, locale: language === 'fr' ? 'fr-FR' : 'en-GB' });
          test(title, async ({ page }) => {
            const app = new App(page);
            await app.open(name);
            await shoot(app, title);
            if (screen === 'phone') await shoot(app, `${title}-full`, true);
          });
        });
      }
    }
  }
}

const SITUATIONS: Record<string, (page: Page) => Promise<void>> = {
  'state-order-open': async (page) => {
    const orders = new Orders(page);
    await orders.open('orders');
    await orders.rows().nth(2).getByRole('button').click();
    await expect(orders.life()).toContainText('partition');
  },
  'state-order-page': async (page) => {
    const orders = new Orders(page);
    await orders.open('orders');
    // A part of its payment was refunded.
    await orders.rows().nth(4).getByRole('button').click();
    await page.getByTestId('open-order').click();
    await expect(page.locator('.refunds')).toBeVisible();
  },
  'state-offline': async (page) => {
    await page.request.post('/api/demo/kafka', { data: { up: false } });
    await simulate(page, { rate: 40 });
    const gateway = new Gateway(page);
    await gateway.open('gateway');
    const pending = async () => Number((await gateway.journal().first().innerText()).replace(/\D/g, ''));
    await expect.poll(pending).toBeGreaterThan(80);
    await simulate(page, { rate: 0 });
    await gateway.go('dashboard');
  },
  'state-offline-gateway': async (page) => {
    await page.request.post('/api/demo/kafka', { data: { up: false } });
    const gateway = new Gateway(page);
    await gateway.open('gateway');
    await page.locator('[data-offset] .opener').first().click();
  },
  'state-lost': async (page) => {
    const app = new App(page);
    await app.open('dashboard');
    await app.waitForCharts();
    await simulate(page, { unreachable: true });
    await expect(app.bar).toHaveAttribute('data-tone', 'bad');
  },
  'state-empty': async (page) => {
    await simulate(page, { empty: true });
    await new App(page).open('dashboard');
  },
  'state-empty-orders': async (page) => {
    await simulate(page, { empty: true });
    const orders = new Orders(page);
    await orders.open('orders');
    await orders.auto().click();
    await expect(orders.rows()).not.toHaveCount(0);
  },
  'identity-setup': async (page) => {
    await simulate(page, { identity: 'blank' });
    await page.goto('/setup');
    await page.locator('input[name=password]').fill('corail-bleu-12');
    await page.locator('summary').click();
  },
  'identity-login': async (page) => {
    await simulate(page, { identity: 'staff' });
    await page.goto('/login');
    await expect(page.getByTestId('login-form')).toBeVisible();
  },
  'identity-screen': async (page) => {
    await simulate(page, { identity: 'staff' });
    await page.goto(`${new URL('/', test.info().project.use.baseURL).href.replace('://', '://comptoir.')}login?screen`);
    await expect(page.getByTestId('pairing-code')).toHaveText(/^\w{3}-\w{3}$/);
  },
  ...Object.fromEntries(
    ['users', 'account', 'audit'].map((name) => [
      `identity-${name}`,
      async (page: Page) => {
        await simulate(page, { identity: 'staff' });
        await new Identity(page).openAs('administrator', `/${name}`);
      },
    ]),
  ),
  'state-other-shop': async (page) => {
    await simulate(page, { otherShops: ['lyon-2', 'nice-3'] });
    const app = new App(page);
    await app.open('dashboard', 'lyon-2');
    await expect(app.shopNotice).toContainText('16:40');
  },
  'state-wall': async (page) => {
    await page.setViewportSize(SCREENS.wall);
    await new Wall(page).open();
  },
  'state-wall-lost': async (page) => {
    await page.setViewportSize(SCREENS.wall);
    const wall = new Wall(page);
    await wall.open();
    await simulate(page, { unreachable: true });
    await expect(wall.notice).toBeVisible();
  },
  'state-paid': async (page) => {
    const payments = new Payments(page);
    await payments.open('payments');
    await payments.fill('o-12345678', '99,99');
    await payments.send().click();
    await expect(payments.result().locator('[data-status]')).toBeVisible();
  },
};
for (const [name, arrange] of Object.entries(SITUATIONS)) {
  if (!selected.test(name)) continue;
  test(name, async ({ page }) => {
    await arrange(page);
    await shoot(new App(page), name);
    await simulate(page, { reset: true });
  });
}
