/** The closing of a day: asking, closing, refusals, what a closed day shows, and its paper. */
import type { APIRequestContext, Page } from '@playwright/test';
import { PROBLEMS, type ProblemType, type ShopDay } from '../../src/lib/api/types';
import { findViolations } from '../pages/axe';
import { Day } from '../pages/day';
import { Identity, personWith } from '../pages/identity';
import { expect, LOOKS, SIMULATOR_ONLY, test } from './fixtures';

/** The day of the tests' clock is Monday 16 March 2026. */
const FRIDAY = '2026-03-13';
const SATURDAY = '2026-03-14';
const CLOSE = '**/api/days/*/close';

const closeDay = (request: APIRequestContext, date: string) => request.post(`/api/days/${date}/close`);
const readDay = async (request: APIRequestContext, date: string) =>
  (await (await request.get(`/api/days/${date}`)).json()) as ShopDay;

/** Until it is released, a closing has no answer. */
async function hold(page: Page): Promise<{ release: () => void; sent: () => number }> {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  let count = 0;
  await page.route(CLOSE, async (route) => {
    count += 1;
    await held;
    await route.continue();
  });
  return { release, sent: () => count };
}

async function refuse(page: Page, type: ProblemType): Promise<void> {
  await page.route(CLOSE, (route) =>
    route.fulfill({
      status: PROBLEMS[type].status,
      contentType: 'application/problem+json',
      body: JSON.stringify({ type, ...PROBLEMS[type], detail: 'x' }),
    }),
  );
}

const expectNoSidewaysScroll = async (page: Page, width: number) =>
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);

test('a day is closed with the keyboard, once, and the focus is on its closing', SIMULATOR_ONLY, async ({ page }) => {
  const app = new Day(page);
  const closing = await hold(page);
  await app.openDay(SATURDAY);
  await app.close.focus();
  await page.keyboard.press('Enter');
  await expect(app.closeDialog).toContainText('Clôturer la journée du samedi 14 mars 2026');
  await expect(app.closeDialog).not.toContainText('Le magasin peut continuer à vendre');
  await page.keyboard.press('Escape');
  await expect(app.closeDialog).toHaveCount(0);
  await expect(app.close).toBeFocused();
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  await expect(app.closeConfirm).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(app.closeDialog.getByRole('status')).toContainText('Clôture en cours');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  await expect(app.closeDialog).toBeVisible();
  closing.release();
  await expect(app.closeDialog).toHaveCount(0);
  await expect(app.closing.getByRole('heading', { level: 2 })).toBeFocused();
  await expect(app.closing.getByRole('heading', { level: 2 })).toHaveText(/^Clôture n°\s1$/);
  await expect(page.getByRole('status').filter({ hasText: 'La journée est clôturée' })).toHaveCount(1);
  await expect(app.close).toHaveCount(0);
  expect(closing.sent()).toBe(1);
});

test(
  'today can be closed while the shop sells, and later sales count in the next closing',
  SIMULATOR_ONLY,
  async ({ page, request }) => {
    const app = new Day(page);
    await app.openDay(null);
    await app.close.click();
    await expect(app.closeDialog).toContainText('Le magasin peut continuer à vendre');
    await app.closeConfirm.click();
    await expect(app.closing).toBeVisible();
    await expect(app.readAt).toContainText('ses chiffres ne changent plus');
    await expect(app.since).toHaveCount(0);
    const net = await app.net.innerText();
    await request.post('/api/payments', { data: { order_id: 'o-1', amount: 12.5, method: 'Cash', status: 'SUCCESS' } });
    await expect(app.since).toContainText(/12,50\s€\. La prochaine clôture le comptera/);
    await expect(app.net).toHaveText(net);
  },
);

test('a day with missing sales is closed only after a warning', SIMULATOR_ONLY, async ({ page, request }) => {
  const day = await readDay(request, SATURDAY);
  await page.route(`**/api/days/${SATURDAY}`, (route) => route.fulfill({ json: { ...day, complete: false } }));
  const app = new Day(page);
  await app.openDay(SATURDAY);
  await app.close.click();
  await expect(app.closeDialog).toContainText('Il manque des ventes');
});

test('no future day can be closed', SIMULATOR_ONLY, async ({ page }) => {
  const app = new Day(page);
  await app.openDay('2026-03-20');
  await expect(app.readAt).toBeVisible();
  await expect(app.close).toHaveCount(0);
});

test('a manager closes a day, a cashier cannot, and the log has it', SIMULATOR_ONLY, async ({ page, simulate }) => {
  await simulate({ identity: 'staff' });
  const [app, identity] = [new Day(page), new Identity(page)];
  await identity.openAs('cashier', `/day/${SATURDAY}`);
  await expect(app.net).toBeVisible();
  await expect(app.close).toHaveCount(0);
  expect((await closeDay(page.request, SATURDAY)).status()).toBe(403);
  await identity.openAs('manager', `/day/${SATURDAY}`);
  await app.close.click();
  await app.closeConfirm.click();
  await expect(app.closing).toContainText(`par ${personWith('manager').name}`);
  await identity.choose('audit');
  await expect(identity.entries().first()).toContainText('Journée clôturée');
  await expect(identity.entries().first()).toContainText(SATURDAY);
});

test(
  'if somebody else has closed the day, the dialog says so and the page shows it',
  SIMULATOR_ONLY,
  async ({ page, request }) => {
    const app = new Day(page);
    await app.openDay(SATURDAY);
    await app.close.click();
    await closeDay(request, SATURDAY);
    await app.closeConfirm.click();
    await expect(app.closeFailure).toHaveText('Cette journée, ou une journée suivante, est déjà clôturée.');
    await expect(app.closeConfirm).toHaveCount(0);
    await expect(app.closeDialog.getByRole('button')).toBeFocused();
    await page.keyboard.press('Enter');
    await expect(app.closeDialog).toHaveCount(0);
    await expect(app.closing).toBeVisible();
  },
);

test('a refusal can be retried, and an unanswered closing is looked up', SIMULATOR_ONLY, async ({ page, request }) => {
  const app = new Day(page);
  await refuse(page, 'urn:comptoir:problem:read-failed');
  await app.openDay(SATURDAY);
  await app.close.click();
  await app.closeConfirm.click();
  await expect(app.closeFailure).toHaveText(/^La passerelle ne peut pas lire son disque/);
  await page.unroute(CLOSE);
  await page.route(CLOSE, (route) => route.abort());
  await app.closeConfirm.click();
  await expect(app.closeFailure).toContainText('Impossible de savoir si la journée est clôturée. La passerelle');
  await page.unroute(CLOSE);
  // The gateway closes the day, but its answer is lost.
  await page.route(CLOSE, async (route) => {
    await closeDay(request, SATURDAY);
    await route.abort();
  });
  await app.closeConfirm.click();
  await expect(app.closeDialog).toHaveCount(0);
  await expect(app.closing.getByRole('heading', { level: 2 })).toBeFocused();
});

for (const [language, colorScheme] of LOOKS) {
  test.describe(`in ${language}, ${colorScheme}`, SIMULATOR_ONLY, () => {
    test.use({ colorScheme, locale: language === 'fr' ? 'fr-FR' : 'en-GB' });
    const texts =
      language === 'fr'
        ? { title: /Clôture n°\s2/, all: 'Tout afficher (7)', missing: '41–44', report: /Z n°\s2/, late: 'vendredi 13' }
        : { title: /Closing no. 2/, all: 'Show all 7', missing: '41–44', report: /Z no. 2/, late: 'Friday, 13' };

    test('a closed day shows what its closing counted', async ({ page, request }) => {
      await closeDay(request, FRIDAY);
      await closeDay(request, SATURDAY);
      const app = new Day(page);
      await app.openDay(SATURDAY);
      await expect(app.closing).toContainText(texts.title);
      await expect(app.counted('own')).toHaveText(await app.net.innerText());
      await expect(app.lateDays.first()).toContainText(texts.late);
      await expect(app.latePayments).toHaveCount(5);
      await page.getByRole('button', { name: texts.all }).click();
      await expect(app.latePayments).toHaveCount(7);
      await expect(app.latePayments.first()).toContainText('till-4');
      await expect(app.latePayments.first().getByRole('link')).toHaveAttribute('href', /^\/orders\/o-/);
      const { closing } = await readDay(request, SATURDAY);
      await page.getByTestId('closing-hash').locator('summary').click();
      await expect(page.getByTestId('closing-hash-whole')).toHaveText(closing?.hash ?? '');
      await expect(page.getByTestId('closing-hash')).toContainText(closing?.signature ?? 'a signature');
      expect(await findViolations(app)).toEqual([]);
      await app.openDay(FRIDAY);
      await expect(app.numbers.filter({ hasText: 'till-3' })).toContainText(texts.missing);
      expect(await findViolations(app)).toEqual([]);
    });

    test('axe finds no violation in the dialog, while it closes, and after a refusal', async ({ page }) => {
      const app = new Day(page);
      await app.openDay(null);
      await app.close.click();
      expect(await findViolations(app)).toEqual([]);
      const closing = await hold(page);
      await app.closeConfirm.click();
      await expect(app.closeConfirm).toHaveAttribute('aria-disabled', 'true');
      expect(await findViolations(app)).toEqual([]);
      closing.release();
      await expect(app.closing).toBeVisible();
      await page.unroute(CLOSE);
      await refuse(page, 'urn:comptoir:problem:day-is-closed');
      await app.openDay(SATURDAY);
      await app.close.click();
      await app.closeConfirm.click();
      await expect(app.closeFailure).toBeVisible();
      expect(await findViolations(app)).toEqual([]);
    });

    test('the paper of a closed day is its Z report, on one page', async ({ page, request }) => {
      await closeDay(request, FRIDAY);
      await closeDay(request, SATURDAY);
      const { closing } = await readDay(request, SATURDAY);
      const app = new Day(page);
      await app.openDay(SATURDAY);
      await page.emulateMedia({ media: 'print' });
      await expect(app.paper.locator('.title')).toHaveText(texts.report);
      await expect(app.paper).toContainText(closing?.hash ?? '');
      await expect(app.paper).toContainText(closing?.key ?? 'a key');
      const total = new Intl.NumberFormat(language === 'fr' ? 'fr-FR' : 'en-GB', {
        style: 'currency',
        currency: 'EUR',
      });
      const plain = (text: string) => text.replace(/\s/g, ' ');
      expect(plain(await app.paper.innerText())).toContain(plain(total.format(closing?.grand_total[0]?.net ?? 0)));
      const pdf = (await page.pdf({ preferCSSPageSize: true })).toString('latin1');
      expect(pdf.match(/\/Type\s*\/Page\b/g)).toHaveLength(1);
      await page.emulateMedia({ media: null });
      await app.openDay('2026-03-12');
      await expect(app.paper.locator('.title')).toHaveText(language === 'fr' ? 'Rapport X' : 'X report');
    });
  });
}

test('a closing that is not complete, or not the first, says so', SIMULATOR_ONLY, async ({ page, request }) => {
  await closeDay(request, SATURDAY);
  const day = await readDay(request, SATURDAY);
  await page.route(`**/api/days/${SATURDAY}`, (route) =>
    route.fulfill({
      json: {
        ...day,
        closing: {
          ...day.closing,
          complete: false,
          has_more_late_payments: true,
          takings: [...(day.closing?.takings ?? []), { date: null, currency: 'USD', net: 3 }],
          numbers: [{ device: '_gateway', epoch: 1, from: 3, to: 3, missing: [] }],
        },
      },
    }),
  );
  const app = new Day(page);
  await app.openDay(SATURDAY);
  await expect(app.closing).toContainText('Incomplète');
  await expect(app.lateDays.last()).toContainText(/Heure impossible\s*3,00\s\$US/);
  await expect(app.numbers).toHaveText(/^\s*Cette passerelle\s*3\s*Aucun\s*$/);
  await expect(app.closing).toContainText('plus de paiements en retard que les 7 affichés');
});

test.describe('at 320 pixels', SIMULATOR_ONLY, () => {
  test.use({ viewport: { width: 320, height: 640 } });

  test('nothing is cut or scrolls sideways, and every control can be touched', async ({ page, request }) => {
    await closeDay(request, FRIDAY);
    const app = new Day(page);
    for (const language of ['fr', 'en'] as const) {
      await app.openDay(FRIDAY);
      await app.speak(language);
      await expect(page.locator('html')).toHaveAttribute('lang', language);
      await page.getByTestId('closing-hash').locator('summary').click();
      await expectNoSidewaysScroll(page, 320);
      const cut = page
        .locator('.day-tables :is(th, td, dd)')
        .evaluateAll((all) =>
          all
            .filter((element) => element.scrollWidth > element.clientWidth && element.clientWidth > 0)
            .map((element) => element.textContent.trim()),
        );
      expect(await cut, language).toEqual([]);
      const wrapped = app.closing
        .locator('td.num > .money, [data-testid=closing-late-days] td.num, td.num .status')
        .evaluateAll(
          (all) => all.filter((element) => element.getClientRects().length > 0 && element.scrollHeight > 48).length,
        );
      expect(await wrapped, language).toBe(0);
      const small = page.locator('main :is(button, input, summary):visible').evaluateAll((all) =>
        all
          .filter((element) => {
            const { width, height } = element.getBoundingClientRect();
            return width < 43.5 || height < 43.5;
          })
          .map((element) => element.outerHTML.slice(0, 120)),
      );
      expect(await small, language).toEqual([]);
      expect(await findViolations(app), language).toEqual([]);
      await app.openDay(null);
      await app.close.click();
      await expectNoSidewaysScroll(page, 320);
      const { bottom, top } = await app.closeDialog.evaluate((dialog) => dialog.getBoundingClientRect());
      expect(top).toBeGreaterThanOrEqual(0);
      expect(bottom).toBeLessThanOrEqual(640);
    }
  });
});

test.describe('in forced colours', SIMULATOR_ONLY, () => {
  test.use({ contextOptions: { forcedColors: 'active' } });

  test('the parts of a closing are still told apart', async ({ page, request }) => {
    await closeDay(request, FRIDAY);
    await request.post('/api/days/today/close');
    await request.post('/api/payments', { data: { order_id: 'o-1', amount: 12.5, method: 'Cash', status: 'SUCCESS' } });
    const app = new Day(page);
    await app.openDay(null);
    // A background alone would vanish.
    await expect(app.since).toHaveCSS('border-top-style', 'solid');
    await expect(app.closing).toContainText('Complète');
    expect(await findViolations(app)).toEqual([]);
    await app.openDay(SATURDAY);
    await app.close.click();
    await expect(app.closeDialog.locator('.net')).toHaveCSS('border-top-style', 'solid');
    expect(await findViolations(app)).toEqual([]);
  });
});
