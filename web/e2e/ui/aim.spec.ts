/** What is aimed at is what opens, and nothing jumps while the shop sells. */
import type { CDPSession, Page } from '@playwright/test';
import { TOUCH_MS } from '../../src/lib/live/hold';
import { App, PAGES, type PageName } from '../pages/app';
import { expect, getStats, SIMULATOR_ONLY, test } from './fixtures';

/** On each of three lists: 51 with a mouse, and as many with a finger. */
const AIMS = 17;
/** The new items during one aim: 1.2 s at 10 events a second. */
const SALES = 12;
/** The row that somebody aims at. */
const ROW = 2;
const PHONE = { width: 390, height: 844 };
const TABLET = { width: 900, height: 1000 };
const SIZES = [PHONE, { width: 768, height: 1024 }, { width: 1920, height: 1080 }];
const MAX_SHIFT = 0.02;
const ROUNDS = 7;

/** The lists, and what a person clicks in a row of each. */
const TARGETS = { orders: '.customer', payments: 'a', dashboard: 'a' } as const;
type ListPage = keyof typeof TARGETS;

class AimedList extends App {
  readonly name: ListPage;
  readonly rows;
  readonly newRows;

  constructor(page: Page, name: ListPage) {
    super(page);
    this.name = name;
    this.rows = page.locator('main tr[data-id]');
    this.newRows = page.getByTestId('new-rows');
  }

  /** Opens the page, which then notes the row of each click instead of following a link. */
  async start(): Promise<void> {
    await this.open(this.name);
    await expect(this.rows).toHaveCount(50);
    await this.page.evaluate(() => {
      const note = (event: Event) => {
        document.body.dataset['opened'] = (event.target as Element).closest<HTMLElement>('[data-id]')?.dataset['id'];
        event.preventDefault();
        event.stopPropagation();
      };
      addEventListener('click', (event) => (event.target as Element).closest('tr') && note(event), true);
    });
  }

  /** Sells, and waits until each new item is in the list or counted above it. */
  async sell(): Promise<void> {
    const path = this.name === 'payments' ? '/api/payments' : '/api/orders';
    const create = async () => {
      const item = (await (await this.page.request.post(path, { data: {} })).json()) as Record<string, string>;
      return item['payment_id'] ?? item['order_id'];
    };
    const ids = await Promise.all(Array.from({ length: SALES }, create));
    await this.page.waitForFunction((created) => {
      const count = parseInt(document.querySelector('[data-testid="new-rows"]')?.textContent ?? '0');
      return count >= created.length || created.every((id) => document.querySelector(`main [data-id="${id}"]`));
    }, ids);
  }

  async aim(): Promise<{ id: string | null; x: number; y: number }> {
    const row = this.rows.nth(ROW);
    const box = (await row.locator(TARGETS[this.name]).first().boundingBox())!;
    return { id: await row.getAttribute('data-id'), x: box.x + 8, y: box.y + box.height / 2 };
  }

  opened(): Promise<string | null> {
    return this.page.locator('body').getAttribute('data-opened');
  }
}

for (const name of Object.keys(TARGETS) as ListPage[]) {
  test(
    `of ${AIMS} rows that a mouse aims at while the shop sells, each is the one that opens: ${name}`,
    SIMULATOR_ONLY,
    async ({ page }) => {
      const list = new AimedList(page, name);
      await list.start();
      let wrong = 0;
      for (let i = 0; i < AIMS; i += 1) {
        const { x, y } = await list.aim();
        await page.mouse.move(x, y);
        const { id } = await list.aim();
        await list.sell();
        await page.mouse.down();
        await page.mouse.up();
        wrong += Number((await list.opened()) !== id);
        // Without the mouse, the new rows take their places.
        await page.mouse.move(0, 0);
        await expect(list.newRows).toHaveCount(0);
      }
      expect(wrong).toBe(0);
    },
  );
}

test.describe('on a touch screen', SIMULATOR_ONLY, () => {
  test.use({ hasTouch: true, isMobile: true });

  const touch = (session: CDPSession, type: 'touchStart' | 'touchEnd', x: number, y: number) =>
    session.send('Input.dispatchTouchEvent', { type, touchPoints: type === 'touchStart' ? [{ x, y }] : [] });

  for (const name of Object.keys(TARGETS) as ListPage[]) {
    test(`of ${AIMS} rows that a finger aims at while the shop sells, each is the one that opens: ${name}`, async ({
      page,
      context,
    }) => {
      // A phone’s rows of payments have no link.
      await page.setViewportSize(name === 'payments' ? TABLET : PHONE);
      const list = new AimedList(page, name);
      await list.start();
      const session = await context.newCDPSession(page);
      let wrong = 0;
      for (let i = 0; i < AIMS; i += 1) {
        await list.rows.nth(ROW).scrollIntoViewIfNeeded();
        const { id, x, y } = await list.aim();
        await list.sell();
        await touch(session, 'touchStart', x, y);
        await touch(session, 'touchEnd', x, y);
        wrong += Number((await list.opened()) !== id);
        if ((await list.newRows.count()) > 0) await list.newRows.dispatchEvent('click');
        await expect(list.newRows).toHaveCount(0);
      }
      expect(wrong).toBe(0);
    });
  }

  test('a list does not change under a finger, and goes on later', async ({ page, context }) => {
    await page.setViewportSize(PHONE);
    const list = new AimedList(page, 'orders');
    await list.start();
    const ids = () => list.rows.evaluateAll((rows) => rows.map((row) => (row as HTMLElement).dataset['id']));
    const session = await context.newCDPSession(page);
    const { x, y } = await list.aim();
    await touch(session, 'touchStart', x, y);
    const before = await ids();
    await list.sell();
    expect(await ids()).toEqual(before);
    await touch(session, 'touchEnd', x, y);
    await list.sell();
    expect(await ids()).toEqual(before);
    await page.clock.fastForward(TOUCH_MS);
    await expect.poll(ids).not.toEqual(before);
    await expect(list.newRows).toHaveCount(0);
  });
});

test('the row with the keyboard’s focus stays and opens with Enter', SIMULATOR_ONLY, async ({ page }) => {
  const list = new AimedList(page, 'orders');
  await list.open('orders');
  const opener = list.rows.nth(ROW).getByRole('button');
  const id = await list.rows.nth(ROW).getAttribute('data-id');
  await list.rows
    .nth(ROW - 1)
    .getByRole('button')
    .focus();
  await page.keyboard.press('Tab');
  await expect(opener).toBeFocused();
  await list.sell();
  await page.keyboard.press('Enter');
  await expect(page.locator('main tr.open')).toHaveAttribute('data-id', id!);
  await page.keyboard.press('Enter');
  await expect(page.locator('main tr.open')).toHaveCount(0);
  await expect(opener).toBeFocused();
  await expect(list.rows.nth(ROW)).toHaveAttribute('data-id', id!);
  // The button of the new rows disappears when it is used. The next stop is then the first row.
  await list.newRows.focus();
  await page.keyboard.press('Enter');
  await expect(list.newRows).toHaveCount(0);
  await page.keyboard.press('Tab');
  await expect(list.rows.first().getByRole('button')).toBeFocused();
});

test('a row changes in place under the mouse, and the cards go on', SIMULATOR_ONLY, async ({ page, request }) => {
  const list = new AimedList(page, 'dashboard');
  await list.open('dashboard');
  // The row that is aimed at is an order’s.
  await list.sell();
  const { id, x, y } = await list.aim();
  await page.mouse.move(x, y);
  const sold = (await getStats(request)).total_orders;
  await list.sell();
  await expect
    .poll(async () => (await page.locator('[data-card="orders"] [data-value]').innerText()).replace(/\D/g, ''))
    .toBe(String(sold + SALES));
  const aimed = list.rows.nth(ROW);
  await expect(aimed).toContainText('En attente');
  await request.post('/api/orders', { data: { order_id: id, status: 'Cancelled' } });
  await expect(aimed).toContainText('Annulée');
  expect(await aimed.getAttribute('data-id')).toBe(id);
});

for (const size of SIZES) {
  test.describe(`at a width of ${size.width}`, SIMULATOR_ONLY, () => {
    test.use({ viewport: size });

    test(`nothing jumps on any page while the shop sells`, async ({ page, request }) => {
      await page.addInitScript(() => {
        const noted = window as unknown as { shifts: number[] };
        noted.shifts = [];
        type Shift = PerformanceEntry & { value: number; hadRecentInput: boolean };
        new PerformanceObserver((list) => {
          for (const shift of list.getEntries() as Shift[]) if (!shift.hadRecentInput) noted.shifts.push(shift.value);
        }).observe({ type: 'layout-shift' });
      });
      const app = new App(page);
      const shiftOf = async (name: PageName) => {
        const opened = page.waitForEvent('websocket');
        await app.open(name);
        const socket = await opened;
        await page.evaluate(() => ((window as unknown as { shifts: number[] }).shifts = []));
        // As many events as in two seconds of selling at 10 events a second.
        for (let i = 0; i < ROUNDS; i += 1) {
          const received = socket.waitForEvent('framereceived', ({ payload }) => String(payload).includes('"batch"'));
          for (const kind of ['orders', 'payments', 'deliveries']) await request.post(`/api/${kind}`, { data: {} });
          await received;
        }
        return page.evaluate(async () => {
          await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
          return (window as unknown as { shifts: number[] }).shifts.reduce((a, b) => a + b, 0);
        });
      };
      for (const name of PAGES) expect.soft(await shiftOf(name), name).toBeLessThanOrEqual(MAX_SHIFT);
    });
  });
}
