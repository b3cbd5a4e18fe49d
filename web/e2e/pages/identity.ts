/** Page objects of the pages of sign-in and identity. */
import { expect, type Locator, type Page } from '@playwright/test';
import { STAFF } from '../../dev/accounts';
import type { Role } from '../../src/lib/api/identity';
import type { PageName } from './app';

/** The person of the simulated shop who has this role. */
export const personWith = (role: Role) => STAFF.find((person) => person.role === role)!;

export class Identity {
  readonly page: Page;
  readonly name: Locator;
  readonly password: Locator;
  readonly submit: Locator;
  readonly failure: Locator;
  readonly reason: Locator;
  readonly menu: Locator;
  readonly bar: Locator;
  readonly toasts: Locator;
  readonly confirm: Locator;

  constructor(page: Page) {
    this.page = page;
    this.name = page.locator('input[name=username]:not([readonly])');
    this.password = page.locator('input[name=password]');
    this.submit = page.locator('main form button[type=submit]');
    this.failure = page.getByTestId('failure');
    this.reason = page.getByTestId('reason');
    this.menu = page.getByTestId('user-menu');
    this.bar = page.getByTestId('kafka-bar');
    this.toasts = page.locator('.toasts');
    this.confirm = page.getByTestId('confirm');
  }

  async fillSignIn(name: string, password: string): Promise<void> {
    await this.name.fill(name);
    await this.password.fill(password);
    await this.submit.click();
  }

  /** Signs in by the form, and waits for the first data. */
  async signIn(role: Role): Promise<void> {
    const { name, password } = personWith(role);
    await this.fillSignIn(name, password);
    await this.waitForData();
  }

  /** Signs in without the form, and opens a page. */
  async openAs(role: Role, path: string): Promise<void> {
    const { name, password } = personWith(role);
    const answer = await this.page.request.post('/api/session', { data: { name, password } });
    expect(answer.status()).toBe(200);
    await this.page.goto(path);
    await this.waitForData();
  }

  async waitForData(): Promise<void> {
    await expect(this.bar).not.toHaveAttribute('data-tone', 'quiet');
    await expect(this.page.locator('.skeleton')).toHaveCount(0);
    await expect(this.page.locator('main h1')).toBeVisible();
  }

  async go(name: PageName): Promise<void> {
    await this.page.locator(`nav a[href="/${name}"]`).click();
    await expect(this.page).toHaveURL(new RegExp(`/${name}$`));
  }

  async choose(entry: 'account' | 'users' | 'audit'): Promise<void> {
    await this.menu.click();
    await this.page.locator(`.menu a[data-page=${entry}]`).click();
    await expect(this.page).toHaveURL(new RegExp(`/${entry}$`));
  }

  async signOut(): Promise<void> {
    await this.menu.click();
    await this.page.getByTestId('sign-out').click();
    await expect(this.page).toHaveURL(/\/login$/);
  }

  readonly panel = (name: string) => this.page.locator(`[data-panel="${name}"]`);
  readonly user = (name: string) => this.panel('users').locator(`tr[data-user="${name}"]`);
  readonly entries = () => this.panel('audit').locator('tr[data-entry]');
}
