/** The dashboard in wall mode. */
import { expect, type Locator, type Page } from '@playwright/test';

export class Wall {
  readonly page: Page;
  readonly root: Locator;
  /** On the dashboard: opens wall mode. */
  readonly opener: Locator;
  readonly leave: Locator;
  readonly notice: Locator;
  readonly soFar: Locator;
  readonly bars: Locator;
  readonly rows: Locator;

  constructor(page: Page) {
    this.page = page;
    this.root = page.getByTestId('wall-mode');
    this.opener = page.locator('a[href="/dashboard?wall"]');
    this.leave = this.root.getByRole('button');
    this.notice = page.getByTestId('wall-notice');
    this.soFar = page.getByTestId('so-far');
    this.bars = this.root.locator('[data-hour]');
    this.rows = this.root.locator('li');
  }

  /** Opens wall mode by its address, and waits for its first data. */
  async open(path = '/dashboard?wall'): Promise<void> {
    await this.page.goto(path);
    await this.waitForData();
  }

  async waitForData(): Promise<void> {
    await expect(this.value('revenue')).toBeVisible();
    await expect(this.notice).toHaveCount(0);
  }

  readonly figure = (name: 'revenue' | 'orders') => this.root.locator(`[data-figure="${name}"]`);
  readonly value = (name: 'revenue' | 'orders') => this.figure(name).locator('[data-value]');
}
