/** The office's pages while sales happen, on the simulated office. */
import { expect, type Page } from '@playwright/test';
import { findViolations } from '../pages/axe';
import { test } from './fixtures';

const LIVE = 'en direct';

const pointAway = (page: Page) => page.mouse.move(0, 0);

test('new sales appear on top, and the overview shows the time of the latest', async ({
  office,
  sales,
  page,
  simulate,
}) => {
  await office.open();
  await expect(office.bar()).toContainText(LIVE);
  await sales.open('?store=paris-1');
  await expect(sales.rows()).toHaveCount(9);
  await expect(office.bar()).toContainText(LIVE);
  await pointAway(page);
  await simulate({
    events: [
      { store: 'paris-1', kind: 'order', id: 'o-new', number: 900 },
      { store: 'lyon-2', kind: 'order', id: 'o-elsewhere', number: 1 },
    ],
    isBehind: true,
  });
  await expect(sales.rows()).toHaveCount(10);
  await expect(sales.rows().first()).toHaveAttribute('data-id', 'o-new');
  await expect(sales.row('o-new')).toContainText('En attente');
  await simulate({
    events: [{ store: 'paris-1', kind: 'order', id: 'o-new', number: 901, status: 'Completed' }],
    isBehind: true,
  });
  await expect(sales.row('o-new')).toContainText('Terminée');
  await expect(sales.rows()).toHaveCount(10);
});

test('rows that somebody reads stand still, and new ones wait for a click', async ({ sales, page, simulate }) => {
  await sales.open('?store=paris-1');
  await expect(page.getByTestId('office-bar')).toContainText(LIVE);
  await sales.opener(2).click();
  const before = await sales.rows().nth(2).boundingBox();
  await simulate({ events: [{ store: 'paris-1', kind: 'payment', id: 'p-new', number: 900, status: 'SUCCESS' }] });
  await expect(sales.newRows()).toHaveText(/1 nouvelle ligne/);
  expect(await sales.rows().nth(2).boundingBox()).toEqual(before);
  expect(await findViolations(sales)).toEqual([]);
  await sales.newRows().click();
  await expect(sales.rows().first()).toHaveAttribute('data-id', 'p-new');
  await expect(sales.newRows()).toHaveCount(0);
});

test('after a lost connection the page shows what happened meanwhile, as the database has it', async ({
  office,
  sales,
  page,
  simulate,
}) => {
  await sales.open('?store=paris-1');
  await expect(sales.rows()).toHaveCount(9);
  await expect(office.bar()).toContainText(LIVE);
  await pointAway(page);
  await simulate({ cut: true, events: [{ store: 'paris-1', kind: 'order', id: 'o-missed', number: 900 }] });
  await expect(sales.row('o-missed')).toHaveCount(1);
  await expect(office.bar()).toContainText(LIVE);
  // Another till may move an order forwards, but not cancel it. Only the database knows.
  await simulate({
    events: [
      {
        store: 'paris-1',
        kind: 'order',
        id: 'o-missed',
        number: 5,
        device: 'till-2',
        status: 'Cancelled',
        stored: { status: 'Pending', corrections: 1 },
      },
    ],
  });
  await expect(sales.row('o-missed').getByTestId('corrected')).toBeVisible();
  await expect(sales.row('o-missed')).toContainText('En attente');
});
