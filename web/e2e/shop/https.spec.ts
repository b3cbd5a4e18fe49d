/** The pages at comptoir.local with a trusted certificate, which gives them a secure context. */
import { expect, test } from '@playwright/test';
import { App } from '../pages/app';

test.use({ serviceWorkers: 'allow' });

test('over HTTPS the page is live and can be installed', async ({ page }) => {
  await new App(page).open('orders');
  expect(new URL(page.url()).hostname).toBe('comptoir.local');
  expect(await page.evaluate(() => isSecureContext)).toBe(true);
  expect(await page.evaluate(async () => (await navigator.serviceWorker.ready).active?.scriptURL)).toContain('/sw.js');
  const cdp = await page.context().newCDPSession(page);
  const { installabilityErrors } = await cdp.send('Page.getInstallabilityErrors');
  // Playwright's contexts are incognito, where nothing can be installed.
  expect(installabilityErrors.map((error) => error.errorId).filter((id) => id !== 'in-incognito')).toEqual([]);
  await page.getByTestId('create').click();
  await expect(page.locator('tr[data-id]')).toHaveCount(1);
});
