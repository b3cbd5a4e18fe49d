/** Accessibility and languages of the pages of sign-in and identity. */
import axe from 'axe-core';
import type { Page } from '@playwright/test';
import type { Scenario } from '../../dev/api';
import { SETUP_CODE } from '../../dev/identity';
import { Identity } from '../pages/identity';
import { expect, SIMULATOR_ONLY, test } from './fixtures';

async function findViolations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run());
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`);
}

/** Shows every page and state, one after the other. */
async function visitAll(
  page: Page,
  simulate: (scenario: Scenario) => Promise<void>,
  check: (name: string) => Promise<void>,
): Promise<void> {
  const app = new Identity(page);
  await simulate({ identity: 'blank' });
  await page.goto('/setup');
  await page.locator('summary').click();
  await app.submit.click();
  await expect(page.locator('[aria-invalid=true]')).toHaveCount(3);
  await check('setup with errors');
  await page.locator('input[name=code]').fill(SETUP_CODE);
  await app.fillSignIn('Camille', 'tiroir-caisse-bleu');
  await expect(page.getByTestId('setup-screen')).toBeVisible();
  await check('setup, second step');

  await simulate({ identity: 'staff' });
  await page.goto('/orders');
  await app.fillSignIn('Camille', 'faux');
  await expect(app.failure).not.toBeEmpty();
  await check('login, refused');
  await page.getByTestId('is-screen').click();
  await expect(page.getByTestId('pairing-code')).toHaveText(/^\w{3}-\w{3}$/);
  await check('screen');

  await app.openAs('administrator', '/users');
  await page.getByTestId('add-token').click();
  await page.locator('input[name=token-name]').fill('bilan');
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('new-token')).toBeVisible();
  await page.getByTestId('add-user').click();
  await page.getByTestId('user-form').locator('[type=submit]').click();
  await check('users');
  await app.user('Hugo').getByRole('button').last().click();
  await expect(app.confirm).toBeVisible();
  await check('confirmation');
  await page.keyboard.press('Escape');
  await app.menu.click();
  await check('menu');
  await page.goto('/account');
  await app.waitForData();
  await check('account');
  await page.goto('/audit');
  await app.waitForData();
  await check('audit');
  await page.context().clearCookies();
  await app.openAs('viewer', '/users');
  await check('forbidden');
  await simulate({ endSessionsOf: 'Inès' });
  await expect(app.reason).toBeVisible();
  await check('ended');
  await simulate({ plain: true });
  await page.goto('/login');
  await expect(page.getByTestId('plain')).toBeVisible();
  await check('plain');
  await simulate({ identity: 'open', demo: false });
  await page.goto('/dashboard');
  await expect(page.getByTestId('open-warning')).toBeVisible();
  await check('open');
}

test.describe('in French, light', SIMULATOR_ONLY, () => {
  test.use({ colorScheme: 'light', locale: 'fr-FR' });

  test('axe finds no violation on any page of identity, and none shows English', async ({ page, simulate }) => {
    test.slow();
    await visitAll(page, simulate, async (name) => {
      expect(await findViolations(page), name).toEqual([]);
      const text = await page.evaluate(() => {
        const copy = document.body.cloneNode(true) as HTMLElement;
        copy.querySelectorAll('[lang=en], bdi, code').forEach((element) => element.remove());
        return copy.textContent;
      });
      expect(text, name).not.toMatch(
        /\b(more|the|and|order|orders|user|since|is|are|not|with|of|sign|password|role)\b/i,
      );
    });
  });
});

test.describe('in English, dark', SIMULATOR_ONLY, () => {
  // Playwright writes to the console when it blocks a service worker.
  test.use({ colorScheme: 'dark', locale: 'en-GB', serviceWorkers: 'allow' });

  test('axe finds no violation on any page of identity, and nothing is written to the console', async ({
    page,
    simulate,
  }) => {
    test.slow();
    const messages: string[] = [];
    page.on('console', (message) => {
      // Chromium logs each refused request itself.
      const isRefusal = message.text().startsWith('Failed to load resource');
      // Pages are left here while they reconnect, which Chromium logs, too.
      const isLeft = message.text().endsWith('WebSocket is closed before the connection is established.');
      if (['error', 'warning'].includes(message.type()) && !isRefusal && !isLeft) messages.push(message.text());
    });
    page.on('pageerror', (error) => messages.push(error.message));
    await visitAll(page, simulate, async (name) => {
      await expect(page.locator('html')).toHaveAttribute('lang', 'en');
      expect(await findViolations(page), name).toEqual([]);
    });
    expect(messages).toEqual([]);
  });
});

test.describe('on a phone', SIMULATOR_ONLY, () => {
  test.use({ viewport: { width: 360, height: 780 } });

  test('axe finds no violation, and no page of identity is wider than the screen', async ({ page, simulate }) => {
    test.slow();
    await visitAll(page, simulate, async (name) => {
      expect(await findViolations(page), name).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth), name).toBeLessThanOrEqual(360);
    });
  });
});
