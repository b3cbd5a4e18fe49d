/** What the tests of the office's pages share. */
import { expect, test as base, type Page } from '@playwright/test';
import type { OfficeScenario } from '../../dev/office';
import { serverOf } from '../../playwright.config';

export const PHONE = { width: 390, height: 844 };
export const TABLET = { width: 1024, height: 768 };
export const DESKTOP = { width: 1440, height: 900 };

export class Office {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  readonly bar = () => this.page.getByTestId('office-bar');
  readonly summary = () => this.page.getByTestId('summary');
  readonly shops = () => this.page.locator('main [data-store]');
  readonly shop = (store: string) => this.page.locator(`main [data-store="${store}"]`);
  readonly search = () => this.page.getByTestId('search');
  readonly onlyTrouble = () => this.page.getByTestId('only-trouble');
  readonly heading = (name: string) => this.page.getByRole('button', { name, exact: true });

  async open(query = ''): Promise<void> {
    await this.page.goto(`/${query}`);
    await expect(this.bar()).not.toHaveAttribute('data-tone', 'quiet');
  }

  shownStores(): Promise<(string | undefined)[]> {
    return this.shops().evaluateAll((shops) => shops.map((shop) => (shop as HTMLElement).dataset['store']));
  }
}

export class Sales {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  readonly rows = () => this.page.locator('[data-panel=sales] [data-id]');
  readonly opener = (row: number) => this.rows().nth(row).getByRole('button');
  readonly details = () => this.page.getByTestId('details');
  readonly field = (name: string) => this.page.locator(`[name="${name}"]`);
  readonly kind = (name: string) => this.page.getByTestId('filters').getByRole('radio', { name, exact: true });
  readonly apply = () => this.page.getByTestId('filters').getByRole('button');
  readonly more = () => this.page.getByTestId('more');
  readonly newRows = () => this.page.getByTestId('new-rows');
  readonly row = (id: string) => this.page.locator(`[data-panel=sales] [data-id="${id}"]`);
  readonly announcement = () => this.page.getByTestId('announcement');

  async open(query = ''): Promise<void> {
    await this.page.goto(`/sales${query}`);
  }
}

/** Holds the answers from these addresses back until the returned function is called. */
export async function holdAnswers(page: Page, url: string): Promise<() => void> {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  await page.route(url, async (route) => {
    await released;
    await route.continue();
  });
  return () => release();
}

type Fixtures = { office: Office; sales: Sales; simulate: (scenario: OfficeScenario) => Promise<void> };

export const test = base.extend<Fixtures>({
  baseURL: ({ baseURL }, use, test) => use(serverOf(test, baseURL)),
  simulate: async ({ request }, use) => {
    await use(async (scenario) => {
      await request.post('/__sim', { data: scenario });
    });
  },
  office: async ({ page, simulate }, use) => {
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => {
      // The browser reports there that the office could not be reached.
      const isExpected = /Failed to load resource|WebSocket connection to '[^']+' failed/.test(message.text());
      if (message.type() === 'error' && !isExpected) errors.push(message.text());
    });
    await simulate({});
    await use(new Office(page));
    // The content security policy, for example, reports there what it has blocked.
    expect(errors).toEqual([]);
  },
  sales: async ({ office }, use) => {
    await use(new Sales(office.page));
  },
});

/** Both languages and both themes occur at each width; all combinations would only take time. */
export const LOOKS = {
  fr: [
    { viewport: PHONE, colorScheme: 'light' },
    { viewport: TABLET, colorScheme: 'light' },
    { viewport: DESKTOP, colorScheme: 'dark' },
  ],
  en: [
    { viewport: PHONE, colorScheme: 'dark' },
    { viewport: TABLET, colorScheme: 'dark' },
    { viewport: DESKTOP, colorScheme: 'light' },
  ],
} as const;

/** Texts that do not fit where they are, on the page or in one of these elements. */
export async function findCut(page: Page, elements: string): Promise<(string | null)[]> {
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  const cut = await page
    .locator(elements)
    .evaluateAll((all) =>
      all.filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent.trim()),
    );
  return [...(overflow > 0 ? [`the page: ${overflow} px`] : []), ...cut];
}
