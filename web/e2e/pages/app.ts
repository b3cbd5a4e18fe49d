/** What is on every page. The page objects know the pages, not what serves them: the simulator and the real gateway both do. */
import { expect, type Locator, type Page } from '@playwright/test';

export const PAGES = ['dashboard', 'orders', 'payments', 'deliveries', 'gateway'] as const;
export type PageName = (typeof PAGES)[number];

export class App {
  readonly page: Page;
  readonly bar: Locator;
  readonly toasts: Locator;

  constructor(page: Page) {
    this.page = page;
    this.bar = page.getByTestId('kafka-bar');
    this.toasts = page.locator('.toasts');
  }

  /** Opens an address and waits for the first data. */
  async open(name: PageName | ''): Promise<void> {
    await this.page.goto(`/${name}`);
    await expect(this.bar).not.toHaveAttribute('data-tone', 'quiet');
    await expect(this.page.locator('.skeleton')).toHaveCount(0);
  }

  async go(name: PageName): Promise<void> {
    await this.page.locator(`nav a[href="/${name}"]`).click();
    await expect(this.page).toHaveURL(new RegExp(`/${name}$`));
  }

  async speak(lang: 'fr' | 'en'): Promise<void> {
    await this.page.locator(`header input[value="${lang}"]`).check({ force: true });
  }
}

export class Dashboard extends App {
  card(name: 'orders' | 'payments' | 'deliveries' | 'revenue'): Locator {
    return this.page.locator(`[data-card="${name}"] [data-value]`);
  }

  readonly rows = () => this.page.locator('[data-panel="activity"] tbody tr[data-id]');
}

export class Orders extends App {
  readonly create = () => this.page.getByTestId('create');
  readonly auto = () => this.page.getByTestId('auto');
  readonly older = () => this.page.getByTestId('older');
  readonly rows = () => this.page.locator('[data-panel="orders"] tbody tr[data-id]');
  readonly row = (id: string) => this.page.locator(`[data-panel="orders"] tr[data-id="${id}"]`);
  readonly news = () => this.page.getByTestId('new-rows');
  readonly life = () => this.page.getByTestId('order-life');

  /** Presses the button and gives the id of what was made. */
  async createOne(): Promise<string> {
    const answered = this.page.waitForResponse((r) => r.url().endsWith('/api/orders') && r.request().method() === 'POST');
    await this.create().click();
    return ((await (await answered).json()) as { order_id: string }).order_id;
  }
}

export class Payments extends App {
  readonly field = (name: 'order_id' | 'amount' | 'method') => this.page.locator(`form [name="${name}"]`);
  readonly send = () => this.page.locator('form button[type=submit]');
  readonly result = () => this.page.getByTestId('payment-result');

  async fill(order: string, amount: string): Promise<void> {
    await this.field('order_id').fill(order);
    await this.field('amount').fill(amount);
  }

  readonly sound = () => this.page.getByTestId('sound');
  readonly rows = () => this.page.locator('[data-panel="payments"] tbody tr[data-id]');
  readonly row = (id: string) => this.page.locator(`[data-panel="payments"] tr[data-id="${id}"]`);
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
  readonly terminal = (name: string) => this.page.locator(`[data-device="${name}"]`);
  /** The journal's figures: not yet in Kafka, oldest waiting, events, all in Kafka up to, repeats removed. */
  readonly journal = () => this.page.locator('[data-panel="journal"] dd');
  readonly deadLetters = () => this.page.locator('[data-panel="dead-letters"]');
  readonly deadLetter = (offset: number) => this.page.locator(`[data-offset="${offset}"]`);
}
