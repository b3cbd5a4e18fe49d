/** Wall mode: the dashboard on a screen that hangs on a wall. */
import type { Page } from '@playwright/test';
import { CLOCK } from '../../playwright.config';
import { Dashboard } from '../pages/app';
import { findViolations } from '../pages/axe';
import { Identity, personWith } from '../pages/identity';
import { Wall } from '../pages/wall';
import { expect, LOOKS, SIMULATOR_ONLY, test } from './fixtures';

const SIZES = [
  { width: 1920, height: 1080 },
  { width: 3840, height: 2160 },
];
/** At 1920 × 1080. Larger screens have larger text. */
const MIN_TEXT_PX = 32;
/** As long as the gateway allows. */
const LONGEST_STORE = 'grand-magasin-de-la-gare-du-nord';
const LONGEST_CUSTOMER = 'Marie-Christine de La Tour-Montparnasse';
const LONGEST_PRODUCT = 'Enceinte portable étanche, édition limitée';

/** Gives the shop another name in all live messages. */
async function renameShop(page: Page, store: string): Promise<void> {
  await page.routeWebSocket(/\/socket\.io\//, (socket) => {
    const gateway = socket.connectToServer();
    gateway.onMessage((message) => socket.send(String(message).replaceAll('"store":"paris-1"', `"store":"${store}"`)));
  });
}

/** What a screen must not show: text that is too small, cut off, outside its panel, or on other text; and half a row. */
const findFaults = (page: Page, minTextPx: number) =>
  page.evaluate((minPx) => {
    const wall = document.querySelector('[data-testid=wall-mode]')!;
    const faults: string[] = [];
    const isVisible = (element: Element) => {
      const { visibility, opacity } = getComputedStyle(element);
      return visibility === 'visible' && opacity !== '0' && !element.closest('.visually-hidden, script, noscript');
    };

    /** One box for each line of text, as high as its letters. */
    const lines: { text: string; left: number; right: number; top: number; bottom: number }[] = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const text = node.textContent?.trim() ?? '';
      const parent = node.parentElement!;
      if (text === '' || !isVisible(parent)) continue;
      const size = parseFloat(getComputedStyle(parent).fontSize);
      if (size < minPx) faults.push(`${size} px: ${text}`);
      const range = document.createRange();
      range.selectNodeContents(node);
      for (const { left, right, top, bottom } of range.getClientRects()) {
        const middle = (top + bottom) / 2;
        lines.push({ text, left, right, top: middle - 0.4 * size, bottom: middle + 0.4 * size });
      }
      const box = range.getBoundingClientRect();
      const around = parent.closest('section')?.getBoundingClientRect() ?? new DOMRect(0, 0, innerWidth, innerHeight);
      const isInside = box.left >= around.left && box.right <= around.right && box.bottom <= around.bottom;
      if (!isInside) faults.push(`outside: ${text}`);
    }
    lines.forEach((a, i) => {
      const b = lines
        .slice(i + 1)
        .find((other) => a.left < other.right && other.left < a.right && a.top < other.bottom && other.top < a.bottom);
      if (b) faults.push(`on other text: ${a.text} / ${b.text}`);
    });

    const frame = wall.querySelector('ul')?.parentElement;
    for (const element of [document.documentElement, wall, ...wall.querySelectorAll('*')]) {
      if (!isVisible(element) || element.clientWidth === 0) continue;
      const name = `${element.tagName} ${element.className}`;
      if (element.scrollWidth > element.clientWidth) faults.push(`wider than its box: ${name}`);
      // The rows that do not fit are invisible below their frame.
      const canHide = element !== frame && getComputedStyle(element).overflowY !== 'visible';
      if (canHide && element.scrollHeight > element.clientHeight) faults.push(`cut: ${name}`);
    }
    const { scrollHeight, clientHeight } = document.documentElement;
    if (scrollHeight > clientHeight) faults.push('the page scrolls');
    const end = frame?.getBoundingClientRect().bottom ?? 0;
    const halves = [...wall.querySelectorAll('li')].filter(
      (row) => isVisible(row) && row.getBoundingClientRect().bottom > end + 0.5,
    );
    faults.push(...halves.map((row) => `half a row: ${row.textContent}`));
    return faults;
  }, minTextPx);

for (const size of SIZES) {
  for (const [language, colorScheme] of LOOKS) {
    test.describe(`at ${size.width}x${size.height} in ${language}, ${colorScheme}`, SIMULATOR_ONLY, () => {
      test.use({ viewport: size, colorScheme, locale: language === 'fr' ? 'fr-FR' : 'en-GB' });
      const minTextPx = (MIN_TEXT_PX * size.width) / 1920;

      test('all text is large and whole, no row is cut, and axe finds no violation', async ({
        page,
        simulate,
        request,
      }) => {
        await renameShop(page, LONGEST_STORE);
        const wall = new Wall(page);
        await wall.open();
        await expect(page.locator('html')).toHaveAttribute('lang', language);
        await expect(wall.root.locator('h1')).toContainText(LONGEST_STORE);
        expect(await findFaults(page, minTextPx), 'the usual sales').toEqual([]);
        expect(await wall.rows.filter({ visible: true }).count()).toBeGreaterThan(3);
        expect(await findViolations(wall), 'axe').toEqual([]);

        const line = { product: LONGEST_PRODUCT, quantity: 12, unit_price: 12_345.67 };
        const lines = [line, { product: 'Sac', quantity: 1, unit_price: 1 }];
        for (let i = 0; i < 3; i += 1) {
          const order = { order_id: `o-long-${i}`, customer_name: LONGEST_CUSTOMER, lines, amount: 148_149.04 };
          await request.post('/api/orders', { data: order });
          await request.post('/api/payments', {
            data: { order_id: order.order_id, amount: 212_345.67, method: 'Bank Transfer', status: 'SUCCESS' },
          });
        }
        await expect(wall.value('revenue')).toContainText(/6\d\d.\d{3}[,.]\d\d/);
        await expect(wall.rows.filter({ hasText: LONGEST_CUSTOMER, visible: true }).first()).toBeVisible();
        await expect(wall.rows.first()).toContainText(/212.345[,.]67/);
        expect(await findFaults(page, minTextPx), 'the longest names and amounts').toEqual([]);

        await request.post('/api/demo/kafka', { data: { up: false } });
        await expect(wall.notice).toBeVisible();
        expect(await findFaults(page, minTextPx), 'without Kafka').toEqual([]);
        await simulate({ unreachable: true });
        await expect(wall.figure('revenue').locator('.known')).toBeVisible();
        expect(await findFaults(page, minTextPx), 'without the gateway').toEqual([]);
        expect(await findViolations(wall), 'axe, without the gateway').toEqual([]);
      });
    });
  }
}

test('the figures of today are those of the dashboard, and follow each sale', async ({ page, request }) => {
  const dashboard = new Dashboard(page);
  await dashboard.open('dashboard');
  const today = (name: 'orders' | 'revenue') => page.locator(`[data-card="${name}"] .so-far`);
  const [orders, revenue] = [await today('orders').innerText(), await today('revenue').innerText()];
  const wall = new Wall(page);
  await wall.open();
  expect(orders).toContain(await wall.value('orders').innerText());
  expect(revenue).toContain(await wall.value('revenue').innerText());
  const numberOf = async (name: 'orders' | 'revenue') =>
    Number((await wall.value(name).innerText()).replace(/[^\d,]/g, '').replace(',', '.'));
  const [ordersBefore, revenueBefore] = [await numberOf('orders'), await numberOf('revenue')];
  await request.post('/api/orders', { data: { customer_name: 'Zoé du Mur' } });
  await request.post('/api/payments', { data: { order_id: 'o-1', amount: 12.5, status: 'SUCCESS' } });
  await expect.poll(() => numberOf('orders')).toBe(ordersBefore + 1);
  await expect.poll(() => numberOf('revenue')).toBeCloseTo(revenueBefore + 12.5, 2);
  await expect(wall.rows.filter({ hasText: 'Zoé du Mur' })).toBeVisible();
});

test('a button of the dashboard opens it in full screen, and Escape leaves it', SIMULATOR_ONLY, async ({ page }) => {
  const dashboard = new Dashboard(page);
  await dashboard.open('dashboard');
  const wall = new Wall(page);
  const isFullScreen = () => page.evaluate(() => document.fullscreenElement !== null);
  await wall.opener.click();
  await expect(page).toHaveURL(/\/dashboard\?wall$/);
  await wall.waitForData();
  await expect.poll(isFullScreen).toBe(true);
  await expect(dashboard.bar).toHaveCount(0);
  await expect(page.locator('nav')).toHaveCount(0);
  await expect(dashboard.toasts).toHaveCSS('display', 'none');
  await page.keyboard.press('Escape');
  await expect(page).toHaveURL(/\/dashboard$/);
  await expect.poll(isFullScreen).toBe(false);
  await expect(dashboard.card('orders')).toBeVisible();
  await expect(dashboard.toasts).toHaveCSS('display', 'flex');
});

test('the end of full screen leaves it, whichever way the browser ends it', SIMULATOR_ONLY, async ({ page }) => {
  const dashboard = new Dashboard(page);
  await dashboard.open('dashboard');
  const wall = new Wall(page);
  await wall.opener.click();
  await wall.waitForData();
  await expect.poll(() => page.evaluate(() => document.fullscreenElement !== null)).toBe(true);
  await page.evaluate(() => document.exitFullscreen());
  await expect(page).toHaveURL(/\/dashboard$/);
});

test('opened by its address, it fills the window, and Escape leaves it', SIMULATOR_ONLY, async ({ page }) => {
  const wall = new Wall(page);
  for (const path of ['/?wall', '/dashboard?wall', '/dashboard?wall=&store=paris-1']) {
    await wall.open(path);
    const { width, height } = (await wall.root.boundingBox())!;
    expect([width, height], path).toEqual([1440, 900]);
    await page.keyboard.press('Escape');
    await expect(page).not.toHaveURL(/wall/);
    await expect(wall.root).toHaveCount(0);
    await expect(page.locator('nav').first()).toBeVisible();
  }
});

test(
  'the pointer and the button disappear until the pointer moves, and the keyboard reaches the button',
  SIMULATOR_ONLY,
  async ({ page }) => {
    const wall = new Wall(page);
    await wall.open();
    const cursor = () => wall.root.evaluate((element) => getComputedStyle(element).cursor);
    const opacity = () => wall.leave.evaluate((element) => getComputedStyle(element).opacity);
    expect(await cursor()).toBe('none');
    expect(await opacity()).toBe('0');
    await page.mouse.move(300, 300);
    await expect.poll(cursor).toBe('auto');
    await expect.poll(opacity).toBe('1');
    await expect.poll(cursor).toBe('none');
    await expect.poll(opacity).toBe('0');
    await page.keyboard.press('Tab');
    await expect(wall.leave).toBeFocused();
    await expect(wall.leave).toHaveAccessibleName('Quitter l’affichage mural');
    await expect.poll(opacity).toBe('1');
    await page.keyboard.press('Enter');
    await expect(page).toHaveURL(/\/dashboard$/);
    await expect(wall.root).toHaveCount(0);
  },
);

test('the hour that is running is marked, and not drawn as a fall', SIMULATOR_ONLY, async ({ page, request }) => {
  const wall = new Wall(page);
  await wall.open();
  const running = wall.bars.filter({ has: page.locator('xpath=self::*[contains(@class, "running")]') });
  await expect(running).toHaveCount(1);
  await expect(running).toHaveAttribute('data-hour', '16');
  const look = (hour: number) =>
    wall.root.locator(`[data-hour="${hour}"] .bar`).evaluate((bar) => getComputedStyle(bar).backgroundImage);
  expect(await look(16)).toContain('repeating-linear-gradient');
  expect(await look(15)).toBe('none');
  const count = async () => Number(/^\d+/.exec(await wall.soFar.innerText())?.[0]);
  const before = await count();
  await expect(wall.soFar).toHaveText(`${before} pour l’instant`);
  await request.post('/api/orders', { data: {} });
  await expect.poll(count).toBe(before + 1);
  await expect(wall.root.getByRole('row', { name: '16 h, pour l’instant' })).toContainText(String(before + 1));
});

test(
  'without the gateway it says so, and since when the figures are not current',
  SIMULATOR_ONLY,
  async ({ page, simulate, request }) => {
    const wall = new Wall(page);
    await wall.open();
    const takings = await wall.value('revenue').innerText();
    await expect(wall.root).toContainText('En direct');
    await simulate({ unreachable: true });
    await expect(wall.notice).toContainText('n’est plus reliée à la passerelle depuis 16:40');
    await expect(wall.root).not.toContainText('En direct');
    for (const name of ['revenue', 'orders'] as const) {
      await expect(wall.figure(name)).toContainText('Derniers chiffres connus : 16:40');
      await expect(wall.figure(name)).not.toContainText('par rapport à hier');
    }
    await expect(wall.root.locator('[data-panel="wall-activity"] header')).toContainText('16:40');
    await expect(wall.soFar).toContainText('jusqu’à 16:40');

    // The next day, these are still yesterday's figures, and not a day without sales.
    await page.clock.setFixedTime('2026-03-17T00:10:00+01:00');
    await expect(wall.figure('revenue')).toContainText('Derniers chiffres connus : hier 16:40');
    expect(await wall.value('revenue').innerText()).toBe(takings);
    await page.clock.setFixedTime(CLOCK);

    await simulate({ unreachable: false });
    await expect(wall.notice).toHaveCount(0, { timeout: 10_000 });
    await request.post('/api/orders', { data: { customer_name: 'Zoé du Retour' } });
    await expect(wall.rows.filter({ hasText: 'Zoé du Retour' })).toBeVisible();
    await expect(wall.root).toContainText('En direct');
  },
);

test('a problem of the shop is on it in large text', SIMULATOR_ONLY, async ({ page, simulate }) => {
  const wall = new Wall(page);
  await wall.open();
  await simulate({ refusing: true });
  await expect(wall.notice).toContainText('n’accepte plus de ventes');
  await simulate({ refusing: false });
  await expect(wall.notice).toHaveCount(0);
});

test(
  'it is still there after an update of the gateway, although the reload ends full screen',
  SIMULATOR_ONLY,
  async ({ page, simulate }) => {
    await new Dashboard(page).open('dashboard');
    const wall = new Wall(page);
    await wall.opener.click();
    await wall.waitForData();
    await expect.poll(() => page.evaluate(() => document.fullscreenElement !== null)).toBe(true);
    const reloaded = page.waitForEvent('load');
    await simulate({ version: '0.4.0' });
    await reloaded;
    await wall.waitForData();
    await expect(page).toHaveURL(/\/dashboard\?wall$/);
  },
);

test('a file that is missing is asked for again, at most every ten minutes', SIMULATOR_ONLY, async ({ page }) => {
  let loads = 0;
  let isMissing = true;
  page.on('request', (request) => (loads += Number(request.isNavigationRequest())));
  await page.route('**/assets/Wall-*.js', (route) => (isMissing ? route.fulfill({ status: 404 }) : route.continue()));
  const wall = new Wall(page);
  await page.goto('/dashboard?wall');
  await expect.poll(() => loads).toBe(2);
  await expect(page.locator('main')).toContainText('n’a pas pu être chargée');
  isMissing = false;
  await page.clock.setFixedTime(new Date(Date.parse(CLOCK) + 601_000));
  await wall.waitForData();
  expect(loads).toBe(3);
});

test.describe('where people sign in', SIMULATOR_ONLY, () => {
  test.beforeEach(({ simulate }) => simulate({ identity: 'staff' }));

  test('a viewer sees all of it, and nothing is refused', async ({ page }) => {
    const refused: string[] = [];
    page.on('response', (response) => {
      if (response.status() >= 400) refused.push(`${response.status()} ${response.url()}`);
    });
    const { name, password } = personWith('viewer');
    const answer = await page.request.post('/api/session', { data: { name, password } });
    expect(answer.status()).toBe(200);
    const wall = new Wall(page);
    await wall.open();
    await expect(wall.rows.filter({ visible: true }).first()).toBeVisible();
    expect(refused).toEqual([]);
  });

  for (const path of ['/?wall', '/dashboard?wall']) {
    test(`${path} is still there after sign-in`, async ({ page }) => {
      const wall = new Wall(page);
      const app = new Identity(page);
      await page.goto(path);
      await expect(page).toHaveURL(/\/login\?next=/);
      const { name, password } = personWith('viewer');
      await app.fillSignIn(name, password);
      await wall.waitForData();
      await expect(page).toHaveURL(/\/dashboard\?wall$/);
    });
  }

  test('a screen that is paired there shows it, also after its session has ended', async ({
    page,
    browser,
    simulate,
  }) => {
    const context = await browser.newContext({ viewport: { width: 1920, height: 1080 }, locale: 'fr-FR' });
    const screen = new Wall(await context.newPage());
    await screen.page.clock.setFixedTime(CLOCK);
    await screen.page.goto('/dashboard?wall');
    const code = screen.page.getByTestId('pairing-code');
    const manager = new Identity(page);
    await manager.openAs('manager', '/account');
    const pair = async () => {
      await expect(code).toHaveText(/^\w{3}-\w{3}$/);
      const form = page.getByTestId('pair-form');
      await form.locator('input').fill(await code.innerText());
      await form.locator('[type=submit]').click();
      await screen.waitForData();
      await expect(screen.page).toHaveURL(/\/dashboard\?wall$/);
    };
    await screen.page.getByTestId('is-screen').click();
    await pair();
    await screen.page.reload();
    await screen.waitForData();
    await simulate({ endSessionsOf: 'screen-1' });
    await pair();
    await context.close();
  });
});

test.describe('the screen', SIMULATOR_ONLY, () => {
  type Locks = { requests: number; releases: number; hide: (isHidden: boolean) => void };
  const locks = (page: Page) => page.evaluate(() => (window as unknown as { locks: Locks }).locks);

  /** A browser whose locks are counted and end when the page is hidden. */
  const stubWakeLock = (page: Page, isRefused: boolean) =>
    page.addInitScript((refuses) => {
      let isHidden = false;
      let current: { released: boolean } | null = null;
      const counts = {
        requests: 0,
        releases: 0,
        hide: (hidden: boolean) => {
          isHidden = hidden;
          if (hidden && current) current.released = true;
          document.dispatchEvent(new Event('visibilitychange'));
        },
      };
      Object.defineProperty(document, 'hidden', { get: () => isHidden });
      Object.defineProperty(navigator, 'wakeLock', {
        value: {
          request: (type: string) => {
            counts.requests += Number(type === 'screen');
            if (refuses) return Promise.reject(new DOMException('refused', 'NotAllowedError'));
            const lock = {
              released: false,
              release: () => {
                lock.released = true;
                counts.releases += 1;
                return Promise.resolve();
              },
            };
            current = lock;
            return Promise.resolve(lock);
          },
        },
      });
      Object.assign(window, { locks: counts });
    }, isRefused);
  const hide = (page: Page, isHidden: boolean) =>
    page.evaluate((hidden) => (window as unknown as { locks: Locks }).locks.hide(hidden), isHidden);
  const failures = (page: Page) => {
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    return errors;
  };

  test('stays on, also after the page was hidden, until wall mode ends', async ({ page }) => {
    const errors = failures(page);
    await stubWakeLock(page, false);
    const wall = new Wall(page);
    await wall.open();
    await expect.poll(async () => (await locks(page)).requests).toBe(1);
    await hide(page, true);
    expect((await locks(page)).requests).toBe(1);
    await hide(page, false);
    await expect.poll(async () => (await locks(page)).requests).toBe(2);
    // A lock that is still held is not asked for again.
    await hide(page, false);
    expect((await locks(page)).requests).toBe(2);
    await page.keyboard.press('Escape');
    await expect.poll(async () => (await locks(page)).releases).toBe(1);
    await hide(page, true);
    await hide(page, false);
    expect((await locks(page)).requests).toBe(2);
    expect(errors).toEqual([]);
  });

  test('may refuse to stay on', async ({ page }) => {
    const errors = failures(page);
    await stubWakeLock(page, true);
    await new Wall(page).open();
    await expect.poll(async () => (await locks(page)).requests).toBe(1);
    await hide(page, false);
    await expect.poll(async () => (await locks(page)).requests).toBe(2);
    expect(errors).toEqual([]);
  });

  test('need not be able to stay on', async ({ page }) => {
    const errors = failures(page);
    await page.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, 'wakeLock'));
    const wall = new Wall(page);
    await wall.open();
    expect(await page.evaluate(() => 'wakeLock' in navigator)).toBe(false);
    await expect(wall.rows.filter({ visible: true }).first()).toBeVisible();
    expect(errors).toEqual([]);
  });
});

test.describe('in a portrait window', SIMULATOR_ONLY, () => {
  test.use({ viewport: { width: 1080, height: 1920 } });

  test('all text is as large and whole', async ({ page }) => {
    const wall = new Wall(page);
    await wall.open();
    expect(await findFaults(page, MIN_TEXT_PX)).toEqual([]);
    expect(await wall.rows.filter({ visible: true }).count()).toBeGreaterThan(3);
  });
});

test('another shop has no wall mode', SIMULATOR_ONLY, async ({ page, simulate }) => {
  await simulate({ otherShops: ['lyon-2'] });
  const dashboard = new Dashboard(page);
  await dashboard.open('dashboard', 'lyon-2');
  const wall = new Wall(page);
  await expect(wall.opener).toHaveCount(0);
  await page.goto('/dashboard?wall&store=lyon-2');
  await expect(dashboard.shopNotice).toContainText('lyon-2');
  await expect(wall.root).toHaveCount(0);
});
