/** Pairing of a wall screen: two browsers, a code, and a QR code. */
import type { Browser } from '@playwright/test';
import { CLOCK } from '../../playwright.config';
import { Identity } from '../pages/identity';
import { expect, SIMULATOR_ONLY, test } from './fixtures';

test.beforeEach(({ simulate }) => simulate({ identity: 'staff' }));

async function openScreen(browser: Browser, path: string): Promise<Identity> {
  const context = await browser.newContext({ viewport: { width: 1920, height: 1080 } });
  const page = await context.newPage();
  await page.clock.setFixedTime(CLOCK);
  await page.goto(path);
  return new Identity(page);
}
const codeOn = ({ page }: Identity) => page.getByTestId('pairing-code');

test(
  'a screen shows a code, a manager enters it, and the screen shows the dashboard',
  SIMULATOR_ONLY,
  async ({ page, browser, simulate }) => {
    const screen = await openScreen(browser, '/login');
    await screen.page.getByTestId('is-screen').click();
    await expect(codeOn(screen)).toHaveText(/^[0-9A-Z]{3}-[0-9A-Z]{3}$/);
    const code = await codeOn(screen).innerText();

    const manager = new Identity(page);
    await manager.openAs('manager', '/account');
    const form = page.getByTestId('pair-form');
    await form.locator('input').fill('222-222');
    await form.locator('[type=submit]').click();
    await expect(form).toContainText('Aucun écran n’affiche ce code');
    await form.locator('input').fill(code.toLowerCase().replace('-', ' '));
    await form.locator('[type=submit]').click();
    await expect(form).toContainText('L’écran est associé');

    await expect(screen.page).toHaveURL(/\/dashboard$/, { timeout: 10_000 });
    await screen.waitForData();
    await screen.page.reload();
    await screen.waitForData();
    await screen.page.goto('/orders');
    await screen.waitForData();
    await expect(screen.page.getByTestId('create')).toHaveCount(0);

    // A screen that is no longer paired shows a code by itself: it may have no keyboard.
    await simulate({ endSessionsOf: 'screen-1' });
    await expect(codeOn(screen)).toHaveText(/^[0-9A-Z]{3}-[0-9A-Z]{3}$/);
    await expect(screen.reason).toContainText('n’est plus associé');
    await screen.page.context().close();
  },
);

test(
  'the QR code opens the manager’s page with the code, which still has to be confirmed',
  SIMULATOR_ONLY,
  async ({ page, browser }) => {
    const screen = await openScreen(browser, '/login?screen');
    await expect(codeOn(screen)).toHaveText(/^[0-9A-Z]{3}-[0-9A-Z]{3}$/);
    const code = await codeOn(screen).innerText();
    const manager = new Identity(page);
    await page.goto(`/account?pair=${code}`);
    await expect(page).toHaveURL(/\/login\?next=/);
    await manager.signIn('manager');
    const form = page.getByTestId('pair-form');
    await expect(form.locator('input')).toHaveValue(code);
    await expect(codeOn(screen)).toHaveText(code);
    await form.locator('[type=submit]').click();
    await expect(screen.page).toHaveURL(/\/dashboard$/, { timeout: 10_000 });
    await screen.page.context().close();
  },
);

test(
  'the QR code holds that address, and can be scanned in the dark theme',
  SIMULATOR_ONLY,
  async ({ page, baseURL }) => {
    await page.emulateMedia({ colorScheme: 'dark' });
    // Not `localhost`: other devices could not open the address.
    const origin = (baseURL ?? '').replace('localhost', 'comptoir.localhost');
    await page.goto(`${origin}/login?screen`);
    await expect(page.getByTestId('pairing-code')).toHaveText(/^\w{3}-\w{3}$/);
    const code = await page.getByTestId('pairing-code').innerText();
    const image = await page.locator('main svg[role=img]').screenshot();
    const text = await readQrCode(image);
    expect(text).toBe(`${origin}/account?pair=${code}`);
  },
);

/** Decodes a PNG with the browser's canvas and the decoder of the package that drew it. */
async function readQrCode(png: Buffer): Promise<string> {
  const { default: decodeQR } = await import('qr/decode.js');
  const { chromium } = await import('@playwright/test');
  const browser = await chromium.launch(test.info().project.use.launchOptions);
  const page = await browser.newPage();
  const pixels = await page.evaluate(async (base64) => {
    const image = new Image();
    image.src = `data:image/png;base64,${base64}`;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height).getContext('2d')!;
    canvas.drawImage(image, 0, 0);
    const { width, height, data } = canvas.getImageData(0, 0, image.width, image.height);
    return { width, height, data: [...data] };
  }, png.toString('base64'));
  await browser.close();
  return decodeQR({ ...pixels, data: Uint8ClampedArray.from(pixels.data) });
}

test(
  'an expired code is replaced by itself, also while the gateway restarts',
  SIMULATOR_ONLY,
  async ({ page, simulate }) => {
    await page.goto('/login?screen');
    const code = page.getByTestId('pairing-code');
    await expect(code).toHaveText(/^\w{3}-\w{3}$/);
    const first = await code.innerText();
    await simulate({ unreachable: true, expirePairings: true });
    await page.waitForEvent('requestfailed');
    await simulate({ unreachable: false });
    await expect(code).not.toHaveText(first, { timeout: 20_000 });
    await expect(code).toHaveText(/^[0-9A-Z]{3}-[0-9A-Z]{3}$/, { timeout: 20_000 });
  },
);
