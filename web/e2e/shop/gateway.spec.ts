/** The gateway page compared with `/api/gateway` and `/api/dead-letters`. */
import { readFile } from 'node:fs/promises';
import { expect, test } from '@playwright/test';
import type { DeadLetter, Gateway as Status, Payment } from '../../src/lib/api/types';
import { createFormats } from '../../src/lib/i18n/format';
import { Gateway } from '../pages/app';
import { publish } from './control';
import { get } from './api';

const f = createFormats('en-GB');

test('a dead letter shows its reason, its unchanged bytes, and the result of a retry', async ({ page, request }) => {
  const gateway = new Gateway(page);
  await gateway.open('gateway');
  await expect(gateway.deadLetters()).toContainText('No dead letter');
  // An unknown format version, then every byte value.
  const bytes = Buffer.from([0x1f, ...Array(256).keys()]);
  await publish('till-odd/payments', bytes);
  await expect.poll(async () => (await get<DeadLetter[]>(request, '/api/dead-letters')).length).toBe(1);
  const [known] = await get<DeadLetter[]>(request, '/api/dead-letters');
  const letter = gateway.deadLetter(known!.offset);
  await expect(letter.locator('.reason')).not.toBeEmpty();
  await expect(letter.locator('[lang=en]')).toHaveText(known!.reason);
  await expect(letter).toContainText('till-odd/payments');
  await expect(letter).toContainText(/257\sB/);
  await expect(gateway.health()).toContainText('1 message could not be decoded');

  await letter.locator('.opener').click();
  await letter.locator('input[value=hex]').check({ force: true });
  await expect(letter.locator('pre')).toContainText('0000  1f 00 01 02');
  const download = page.waitForEvent('download');
  await letter.getByRole('button', { name: 'Export' }).click();
  expect((await download).suggestedFilename()).toBe(`dead-letter-${known!.offset}.bin`);
  expect(await readFile(await (await download).path())).toEqual(bytes);

  const answered = page.waitForResponse((answer) => answer.url().endsWith(`/api/dead-letters/${known!.offset}/retry`));
  await letter.getByRole('button', { name: 'Retry' }).click();
  expect((await answered).status()).toBe(422);
  await expect(gateway.toasts).toContainText('It still cannot be decoded');
  await gateway.toasts.locator('summary').click();
  await expect(gateway.toasts.getByText(`still cannot be decoded: ${known!.reason}`)).toBeVisible();
  expect((await get<DeadLetter[]>(request, '/api/dead-letters')).map((one) => one.retried)).toEqual([null]);
  await expect(letter.getByRole('button', { name: 'Retry' })).toBeEnabled();
});

test('a till with a missing event is named until the event arrives, and a repeated event is counted once', async ({
  page,
}) => {
  const gateway = new Gateway(page);
  await gateway.open('gateway');
  const sell = (seq: number) => {
    const payment: Partial<Payment> = {
      payment_id: `p-gap-${seq}`,
      order_id: 'o-gap',
      amount: 5,
      method: 'Cash',
      status: 'SUCCESS',
    };
    return publish('till-gap/payments', JSON.stringify({ ...payment, epoch: 9, seq }));
  };
  const figures = gateway.till('till-gap').locator('td.num');
  await sell(1);
  await sell(3);
  await expect(figures).toHaveText(['3', '2', '2', '2']);
  await expect(gateway.health()).toContainText('Events are missing: till-gap');
  await expect(gateway.journal().nth(3)).toHaveText('0');
  await sell(3);
  await expect(gateway.journal().nth(3)).toHaveText('1');
  await sell(2);
  await expect(figures).toHaveText(['3', '3', '3', 'none']);
  await expect(gateway.health()).not.toContainText('till-gap');
});

test('connections, journal, tills and partitions are those of /api/gateway', async ({ page, request }) => {
  const gateway = new Gateway(page);
  await gateway.open('gateway');
  const cells = (name: 'partition' | 'device') =>
    page
      .locator(`tr[data-${name}]`)
      .evaluateAll(
        (rows, of) =>
          rows.map((row) => [
            (row as HTMLElement).dataset[of],
            ...[...(row as HTMLTableRowElement).cells].slice(1).map((cell) => cell.textContent.trim()),
          ]),
        name,
      );

  await expect(async () => {
    // A topic appears once an event has been sent to it.
    for (const button of await page.locator('[data-panel="partitions"] button[aria-expanded=false]').all())
      await button.click();
    const now = await get<Status>(request, '/api/gateway');
    const { journal } = now;
    // The gateway reads no topic, so it knows the positions of its own events, but no end offset and no lag.
    expect(now.follow).toBe('own');
    expect(now.partitions.length).toBeGreaterThan(0);
    expect(await cells('partition')).toEqual(
      now.partitions.map((one) => [`${one.topic} ${one.partition}`, `no. ${one.partition}`, f.number(one.position)]),
    );
    await expect(page.locator('[data-panel="partitions"] .group')).toHaveCount(0);
    expect(now.devices.length).toBeGreaterThan(1);
    expect(await cells('device')).toEqual(
      now.devices.map((one) => [one.device, ...[one.received, one.stored, one.in_kafka].map(f.number), 'none']),
    );
    expect(await gateway.journal().allInnerTexts()).toEqual([
      '0',
      'none',
      ...[journal.events, journal.duplicates].map(f.number),
      `journal no. ${f.number(journal.watermark)}`,
    ]);
    expect(await page.locator('[data-panel="journal"] [role=meter]').getAttribute('aria-valuetext')).toBe(
      `${f.bytes(journal.bytes)} of ${f.bytes(journal.max_bytes)}`,
    );
    for (const [name, link] of [
      ['MQTT broker', now.mqtt],
      ['Kafka', now.kafka],
      ['Bridge', now.bridge],
    ] as const) {
      expect(link.state).toBe('up');
      expect(await gateway.link(name).getAttribute('data-state'), name).toBe('up');
      expect(await gateway.link(name).locator('.state').innerText(), name).toMatch(/^Up\s+for \d/);
      const since = new Date(link.since).toLocaleTimeString('en-GB', {
        timeZone: 'Europe/Paris',
        hour: '2-digit',
        minute: '2-digit',
      });
      expect(await gateway.link(name).locator('.state .muted').getAttribute('title'), name).toContain(since);
    }
  }).toPass({ timeout: 30_000 });
});
