/** Layout: no page cuts off text, prints it over other text, or scrolls beyond its contents. */
import type { Locator, Page } from '@playwright/test';
import type { Scenario } from '../../dev/api';
import { App, Gateway, Orders, PAGES, Payments } from '../pages/app';
import { Identity } from '../pages/identity';
import { expect, SIMULATOR_ONLY, test } from './fixtures';

const PHONE = { width: 390, height: 844 };
const TABLET = { width: 1024, height: 768 };
const WALL = { width: 1920, height: 1080 };
/** Includes widths on both sides of each breakpoint. */
const SIZES = [PHONE, { width: 720, height: 1024 }, TABLET, { width: 1200, height: 800 }, WALL];
const LANGUAGES = ['fr', 'en'] as const;

const nameOf = ({ width, height }: { width: number; height: number }) => `${width}x${height}`;

/** How many pixels the document extends below its contents. */
const emptiness = (page: Page) =>
  page.evaluate(() => {
    const { bottom } = document.querySelector('main')!.getBoundingClientRect();
    return document.documentElement.scrollHeight - Math.max(innerHeight, bottom + scrollY);
  });

/** The texts of the elements whose contents overflow. */
const cutTexts = (elements: Locator) =>
  elements.evaluateAll((all) =>
    all
      .filter((element) => element.scrollWidth > element.clientWidth || element.scrollHeight > element.clientHeight + 1)
      .map((element) => element.textContent.trim()),
  );

/** The headings whose text is wider than their column. */
const overprintedHeadings = (page: Page) =>
  page.locator('main th:visible').evaluateAll((headings) =>
    headings
      .filter((heading) => {
        const range = document.createRange();
        range.selectNodeContents(heading);
        const [text, cell] = [range.getBoundingClientRect(), heading.getBoundingClientRect()];
        const isHidden = heading.querySelector('.visually-hidden') ?? heading.closest('.visually-hidden');
        return !isHidden && (text.right > cell.right || text.left < cell.left);
      })
      .map((heading) => heading.textContent),
  );

/** The badges that are wider than their cell, or whose text is cut off or wraps. */
const cutBadges = (page: Page) =>
  page.locator('main .status:visible').evaluateAll((badges) =>
    badges
      .filter((badge) => {
        const word = badge.querySelector('bdi');
        const [inner, outer] = [badge.getBoundingClientRect(), badge.parentElement!.getBoundingClientRect()];
        const isWhole = word?.getClientRects().length === 1 && word.scrollWidth <= word.offsetWidth;
        return !isWhole || inner.right > outer.right + 1;
      })
      .map((badge) => badge.textContent.trim()),
  );

for (const size of [PHONE, TABLET, WALL]) {
  test.describe(`at ${nameOf(size)}`, SIMULATOR_ONLY, () => {
    test.use({ viewport: size });

    test('no page scrolls beyond its contents', async ({ page, simulate }) => {
      const app = new App(page);
      for (const name of PAGES) {
        await app.open(name);
        expect(await emptiness(page), name).toBeLessThanOrEqual(4);
      }
      await simulate({ identity: 'staff' });
      await page.goto('/login');
      await expect(page.getByTestId('login-form')).toBeVisible();
      expect(await emptiness(page), 'login').toBeLessThanOrEqual(4);
      for (const name of ['account', 'users', 'audit']) {
        await new Identity(page).openAs('administrator', `/${name}`);
        expect(await emptiness(page), name).toBeLessThanOrEqual(4);
      }
    });
  });
}

for (const size of SIZES) {
  test(`no heading, badge or payment is cut at ${nameOf(size)}`, SIMULATOR_ONLY, async ({ page }) => {
    test.slow();
    await page.setViewportSize(size);
    const app = new App(page);
    for (const name of PAGES) {
      await app.open(name);
      for (const language of LANGUAGES) {
        await app.speak(language);
        await expect(page.locator('html')).toHaveAttribute('lang', language);
        expect(await overprintedHeadings(page), `${name} ${language}`).toEqual([]);
        expect(await cutBadges(page), `${name} ${language}`).toEqual([]);
        if (name !== 'payments') continue;
        expect(await cutTexts(new Payments(page).rows().locator('td')), language).toEqual([]);
      }
    }
    const orders = new Orders(page);
    await orders.open('orders');
    await orders.rows().first().getByRole('button').click();
    await expect(orders.life()).toBeVisible();
    expect(await cutBadges(page), 'an open order').toEqual([]);
  });

  test(`no heading of a page of identity is cut at ${nameOf(size)}`, SIMULATOR_ONLY, async ({ page, simulate }) => {
    await page.setViewportSize(size);
    await simulate({ identity: 'staff' });
    const app = new App(page);
    for (const name of ['account', 'users', 'audit']) {
      await new Identity(page).openAs('administrator', `/${name}`);
      for (const language of LANGUAGES) {
        await app.speak(language);
        await expect(page.locator('html')).toHaveAttribute('lang', language);
        expect(await overprintedHeadings(page), `${name} ${language}`).toEqual([]);
      }
    }
  });
}

test.describe('on a phone', SIMULATOR_ONLY, () => {
  test.use({ viewport: PHONE });

  test('the status bar shows the whole of each sentence', async ({ page, simulate, request }) => {
    const app = new App(page);
    await app.open('orders');
    const check = async (name: string, scenario: Scenario, text: string | RegExp) => {
      await simulate(scenario);
      await expect(app.bar).toContainText(text);
      for (const language of LANGUAGES) {
        await app.speak(language);
        await expect(page.locator('html')).toHaveAttribute('lang', language);
        expect(await cutTexts(app.bar.locator('p')), `${name} ${language}`).toEqual([]);
        expect(await cutTexts(app.bar), `${name} ${language}`).toEqual([]);
      }
      await app.speak('fr');
    };
    await check('up', {}, 'Connecté à Kafka');
    await check('without MQTT', { mqtt: false }, 'Serveur MQTT injoignable');
    await request.post('/api/demo/kafka', { data: { up: false } });
    await check('without both', {}, 'gardées ici et partiront plus tard');
    for (let i = 0; i < 3; i += 1) await request.post('/api/orders', { data: {} });
    await check('without both, with sales', { mqtt: false }, /3 événements.*gardent leurs ventes/);
    await check('a full journal', { refusing: true }, 'n’accepte plus de ventes');
    await check('lost', { unreachable: true }, 'Reconnexion en cours');
  });

  test('the names of topics and tills are whole', async ({ page }) => {
    const gateway = new Gateway(page);
    await gateway.open('gateway');
    expect(await cutTexts(page.locator('[data-panel="partitions"] td.topic'))).toEqual([]);
    expect(await cutTexts(page.locator('[data-panel="tills"] .device > :last-child'))).toEqual([]);
  });

  test('the times of users and tokens are whole, and the filter of the audit log is in its panel', async ({
    page,
    simulate,
  }) => {
    await simulate({ identity: 'staff' });
    const app = new Identity(page);
    await app.openAs('administrator', '/users');
    for (const name of ['users', 'tokens']) {
      expect(await cutTexts(app.panel(name).locator('.second')), name).toEqual([]);
    }
    await app.openAs('administrator', '/audit');
    const right = (element: Element) => element.getBoundingClientRect().right;
    const filter = await page.getByTestId('audit-filter').evaluate(right);
    expect(filter).toBeLessThan(await app.panel('audit').evaluate(right));
  });

  test('the hint in the field for the order is whole', async ({ page }) => {
    const payments = new Payments(page);
    await payments.open('payments');
    for (const language of LANGUAGES) {
      await payments.speak(language);
      const [needed, available] = await payments.field('order_id').evaluate((input: HTMLInputElement) => {
        const { font, paddingLeft, paddingRight } = getComputedStyle(input);
        const context = document.createElement('canvas').getContext('2d')!;
        context.font = font;
        // The arrow that opens the suggestions takes up space beside the text.
        const arrow = 30;
        const padding = parseFloat(paddingLeft) + parseFloat(paddingRight);
        return [context.measureText(input.placeholder).width, input.clientWidth - padding - arrow] as const;
      });
      expect(needed, language).toBeLessThanOrEqual(available);
    }
  });
});
