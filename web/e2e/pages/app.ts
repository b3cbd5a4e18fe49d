/** Page objects. They know the pages, not the gateway behind them: it may be the simulated or the real one. */
import { expect, type Locator, type Page } from '@playwright/test';

export const PAGES = ['dashboard', 'orders', 'payments', 'deliveries', 'day', 'gateway'] as const;
export type PageName = (typeof PAGES)[number];

export class App {
  readonly page: Page;
  readonly bar: Locator;
  readonly toasts: Locator;
  readonly shops: Locator;
  readonly shopNotice: Locator;
  readonly thisShop: Locator;

  constructor(page: Page) {
    this.page = page;
    this.bar = page.getByTestId('kafka-bar');
    this.toasts = page.locator('.toasts');
    this.shops = page.getByTestId('shop-picker');
    this.shopNotice = page.getByTestId('shop-notice');
    this.thisShop = page.getByTestId('this-shop');
  }

  /** Opens a page and waits for its first data. */
  async open(name: PageName | '', store?: string): Promise<void> {
    await this.page.goto(store === undefined ? `/${name}` : `/${name}?store=${store}`);
    await expect(this.bar).not.toHaveAttribute('data-tone', 'quiet');
    await expect(this.page.locator('.skeleton')).toHaveCount(0);
  }

  async go(name: PageName): Promise<void> {
    await this.page.locator(`nav a[href="/${name}"], nav a[href^="/${name}?"]`).click();
    await expect(this.page).toHaveURL(new RegExp(`/${name}($|\\?)`));
  }

  /** Chooses the shop whose sales are shown: `paris-1` is the simulated gateway's own. */
  async chooseShop(store: string): Promise<void> {
    await this.shops.selectOption(store);
  }

  async speak(language: 'fr' | 'en'): Promise<void> {
    await this.page.locator(`header input[value="${language}"]`).check({ force: true });
  }

  /** Chart.js sets the style of a canvas when it draws. */
  async waitForCharts(): Promise<void> {
    for (const canvas of await this.page.locator('canvas').all()) {
      await expect(canvas).toHaveAttribute('style', /block/);
    }
  }
}

/** The dialog that saves a list as a file. */
export class ExportDialog {
  readonly dialog: Locator;
  readonly opener: Locator;
  readonly first: Locator;
  readonly last: Locator;
  readonly save: Locator;

  constructor(page: Page) {
    this.dialog = page.getByTestId('export-dialog');
    this.opener = page.getByTestId('export');
    [this.first, this.last] = [0, 1].map((i) => this.dialog.locator('input[type=date]').nth(i)) as [Locator, Locator];
    this.save = this.dialog.locator('button[type=submit]');
  }
}

export class Dashboard extends App {
  card(name: 'orders' | 'payments' | 'deliveries' | 'revenue'): Locator {
    return this.page.locator(`[data-card="${name}"] [data-value]`);
  }

  readonly rows = () => this.page.locator('[data-panel="activity"] tbody tr[data-id]');
}

export class Orders extends App {
  readonly title = () => this.page.locator('[data-panel="orders"] h2');
  readonly create = () => this.page.getByTestId('create');
  readonly auto = () => this.page.getByTestId('auto');
  readonly older = () => this.page.getByTestId('older');
  readonly rows = () => this.page.locator('[data-panel="orders"] tbody tr[data-id]');
  readonly row = (id: string) => this.page.locator(`[data-panel="orders"] tr[data-id="${id}"]`);
  readonly newRows = () => this.page.getByTestId('new-rows');
  readonly life = () => this.page.getByTestId('order-life');

  /** The ids of the rows from top to bottom. */
  shownIds(): Promise<(string | undefined)[]> {
    return this.rows().evaluateAll((rows) => rows.map((row) => (row as HTMLElement).dataset['id']));
  }

  /** Clicks the button and returns the id of the new order. */
  async createOne(): Promise<string> {
    const answered = this.page.waitForResponse(
      (response) => response.url().endsWith('/api/orders') && response.request().method() === 'POST',
    );
    await this.create().click();
    return ((await (await answered).json()) as { order_id: string }).order_id;
  }
}

export class Payments extends App {
  readonly field = (name: 'order_id' | 'amount' | 'method' | 'status') => this.page.locator(`form [name="${name}"]`);
  readonly send = () => this.page.locator('form button[type=submit]');
  readonly result = () => this.page.getByTestId('payment-result');
  readonly sound = () => this.page.getByTestId('sound');
  readonly rows = () => this.page.locator('[data-panel="payments"] tbody tr[data-id]');
  readonly row = (id: string) => this.page.locator(`[data-panel="payments"] tr[data-id="${id}"]`);

  async fill(order: string, amount: string): Promise<void> {
    await this.field('order_id').fill(order);
    await this.field('amount').fill(amount);
  }
}

export class Deliveries extends App {
  readonly items = () => this.page.locator('[data-panel="deliveries"] li[data-id]');
  readonly item = (id: string) => this.page.locator(`[data-panel="deliveries"] li[data-id="${id}"]`);

  async filter(value: 'Pending' | 'In Transit' | 'Delivered' | 'All'): Promise<void> {
    await this.page.locator(`[data-panel="deliveries"] input[value="${value}"]`).check({ force: true });
  }
}

export class Gateway extends App {
  readonly link = (name: string) => this.page.locator(`[data-link="${name}"]`);
  readonly kafkaDown = () => this.page.getByTestId('kafka-down');
  readonly kafkaUp = () => this.page.getByTestId('kafka-up');
  readonly settings = () => this.page.getByTestId('settings-problems');
  readonly health = () => this.page.getByTestId('health');
  readonly till = (name: string) => this.page.locator(`[data-device="${name}"]`);
  /** The journal's figures: not yet in Kafka, oldest waiting, events, duplicates removed, everything in Kafka up to. */
  readonly journal = () => this.page.locator('[data-panel="journal"] dd');
  readonly deadLetters = () => this.page.locator('[data-panel="dead-letters"]');
  readonly deadLetter = (offset: number) => this.page.locator(`[data-offset="${offset}"]`);
}
