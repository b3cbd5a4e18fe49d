/** The page of one day. */
import type { Locator, Page } from '@playwright/test';
import { expect } from '@playwright/test';
import { App } from './app';

export class Day extends App {
  readonly title: Locator;
  readonly net: Locator;
  readonly previous: Locator;
  readonly next: Locator;
  readonly date: Locator;
  readonly toToday: Locator;
  readonly print: Locator;
  readonly file: Locator;
  readonly readAt: Locator;
  readonly stale: Locator;
  readonly failure: Locator;
  readonly refresh: Locator;
  readonly quiet: Locator;
  readonly search: Locator;
  readonly allProducts: Locator;
  readonly paper: Locator;
  readonly close: Locator;
  readonly closeDialog: Locator;
  readonly closeConfirm: Locator;
  readonly closeFailure: Locator;
  readonly closing: Locator;
  readonly since: Locator;
  readonly lateDays: Locator;
  readonly latePayments: Locator;
  readonly numbers: Locator;

  constructor(page: Page) {
    super(page);
    this.title = page.getByTestId('day-title');
    this.net = page.getByTestId('day-net');
    this.previous = page.getByTestId('day-previous');
    this.next = page.getByTestId('day-next');
    this.date = page.getByTestId('day-date');
    this.toToday = page.getByTestId('day-today');
    this.print = page.getByTestId('day-print');
    this.file = page.getByTestId('day-file');
    this.readAt = page.getByTestId('day-read-at');
    this.stale = page.getByTestId('day-stale');
    this.failure = page.getByTestId('day-failure');
    this.refresh = page.getByTestId('day-refresh');
    this.quiet = page.getByTestId('day-quiet');
    this.search = page.getByTestId('day-search');
    this.allProducts = page.getByTestId('day-all-products');
    this.paper = page.getByTestId('day-paper');
    this.close = page.getByTestId('day-close');
    this.closeDialog = page.getByTestId('day-close-dialog');
    this.closeConfirm = page.getByTestId('day-close-confirm');
    this.closeFailure = page.getByTestId('day-close-failure');
    this.closing = page.getByTestId('day-closing');
    this.since = page.getByTestId('closing-since');
    this.lateDays = page.getByTestId('closing-late-days').locator('tbody tr');
    this.latePayments = page.getByTestId('closing-late-payments').locator('tbody tr');
    this.numbers = page.getByTestId('closing-numbers').locator('tbody tr');
  }

  /** `date` is `null` for today. */
  async openDay(date: string | null): Promise<void> {
    await this.page.goto(date === null ? '/day' : `/day/${date}`);
    await expect(this.bar).not.toHaveAttribute('data-tone', 'quiet');
    await expect(this.page.locator('.skeleton')).toHaveCount(0);
  }

  readonly fact = (name: 'payments' | 'refunds' | 'failed' | 'orders' | 'cancelled') =>
    this.page.locator(`[data-fact="${name}"] dd`);
  readonly counted = (name: 'own' | 'late' | 'total') => this.closing.locator(`[data-counted="${name}"] b`);
  readonly panel = (name: 'methods' | 'tills' | 'vat' | 'hours' | 'products' | 'currencies') =>
    this.page.locator(`[data-panel="day-${name}"]`);
  readonly rows = (name: Parameters<Day['panel']>[0]) => this.panel(name).locator('tbody tr');
}
