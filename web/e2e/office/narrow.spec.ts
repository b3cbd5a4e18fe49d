/** Every page of the office on the narrowest phone: nothing scrolls sideways. */
import { expect } from '@playwright/test';
import { findCut, LOOKS, test } from './fixtures';

const PAGES = [
  '/',
  '/?search=paris-1',
  '/sales',
  '/sales?store=paris-1&kind=payment',
  '/compare',
  '/compare?by=week',
  '/shops/paris-1',
  '/commands',
  '/login',
];

for (const language of Object.keys(LOOKS)) {
  test.describe(language, () => {
    test.use({ locale: language === 'fr' ? 'fr-FR' : 'en-GB', viewport: { width: 320, height: 640 } });

    test('no page scrolls sideways at 320 px', async ({ office, page }) => {
      void office;
      for (const path of PAGES) {
        await page.goto(path);
        await expect(page.locator('main h1, main h2').first()).toBeVisible();
        await expect(page.locator('main .skeleton')).toHaveCount(0);
        expect(await findCut(page, 'main :is(h1, h2, .button):not(.visually-hidden):visible'), path).toEqual([]);
      }
    });
  });
}
