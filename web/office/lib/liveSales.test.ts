import { describe, expect, it } from 'vitest';
import { covers, parseEvent, type LiveEvent } from './liveEvents';
import { mergeEvents, replaceFirstPage } from './liveSales';
import { arrangeRows, keepRows } from './steadyList';
import type { SaleItem } from './types';

const at = (minute: number) => `2026-03-16T15:${String(minute).padStart(2, '0')}:00Z`;

const order = (id: string, minute: number, more: Partial<SaleItem> = {}): SaleItem => ({
  store: 'paris-1',
  kind: 'order',
  device: 'till-1',
  id,
  order_id: id,
  status: 'Pending',
  time: at(minute),
  corrections: 0,
  epoch: 7,
  number: 1,
  value: {},
  ...more,
});
const event = (offset: number, sale: SaleItem): LiveEvent => ({ sale, partition: 0, offset, appended: at(59) });
const describeRows = (sales: readonly SaleItem[] | null) => sales?.map(({ id, status }) => `${id} ${status}`);
const ids = (sales: readonly SaleItem[]) => sales.map(({ id }) => id);
const stored = (rows: SaleItem[], more = {}) => ({ rows, read: {}, hasMore: false, matches: () => true, ...more });

describe('an event', () => {
  it('is a sale at its place in Kafka', () => {
    const data = {
      order_id: 'o-1',
      status: 'Pending',
      timestamp: at(1),
      amount: 12.5,
      currency: 'EUR',
      customer_name: 'Ada',
      store: 'paris-1',
      device: 'till-1',
      ce_id: 'paris-1/till-1/7/42',
      partition: 2,
      offset: 41,
      appended: at(2),
    };
    const parsed = parseEvent('new_order', data);
    expect(parsed).toMatchObject({
      sale: { store: 'paris-1', device: 'till-1', id: 'o-1', epoch: 7, number: 42, amount: 12.5, time: at(1) },
      partition: 2,
      offset: 41,
    });
    expect(parsed?.sale.value).not.toHaveProperty('ce_id');
  });

  it('that this version does not know is left out', () => {
    for (const [name, data] of [
      ['new_order', null],
      ['new_order', { order_id: 'o-1' }],
      ['new_voucher', { order_id: 'o-1' }],
      ['joined', {}],
    ] as const) {
      expect(parseEvent(name, data)).toBeNull();
    }
  });
});

describe('a list that the database has read', () => {
  it('has everything before the live events only if it was read so far in each partition', () => {
    const sent = { order: { 0: 5, 1: 3 }, payment: { 0: 2 } };
    expect(covers({ order: { 0: 5, 1: 4 }, payment: { 0: 2 } }, sent)).toBe(true);
    expect(covers({ order: { 0: 5, 1: 2 }, payment: { 0: 2 } }, sent)).toBe(false);
    expect(covers({ order: { 0: 5, 1: 3 } }, sent)).toBe(false);
    expect(covers({}, {})).toBe(true);
  });
});

describe('live events on top of the database', () => {
  it('add new sales at their place and change those of the same till', () => {
    const rows = [order('b', 5), order('a', 3)];
    const { sales, doubtful } = mergeEvents(stored(rows), [
      event(0, order('c', 4)),
      event(1, order('a', 3, { status: 'Completed', number: 2 })),
    ]);
    expect(describeRows(sales)).toEqual(['b Pending', 'c Pending', 'a Completed']);
    expect(doubtful).toEqual([]);
  });

  it('that the database has read change nothing, and neither do copies of older ones', () => {
    const rows = [order('a', 3, { status: 'Cancelled', number: 3 })];
    const { sales } = mergeEvents(stored(rows, { read: { order: { 0: 7 } } }), [
      event(6, order('a', 3, { status: 'Completed', number: 4 })),
      event(9, order('a', 3, { status: 'Completed', number: 2 })),
    ]);
    expect(sales).toBe(rows);
  });

  it('of another till are for the database to decide', () => {
    const rows = [order('a', 3)];
    const others = [
      event(0, order('a', 3, { device: 'till-2', status: 'Cancelled', number: 9 })),
      // Perhaps of a sale that is not loaded.
      event(1, order('z', 4, { status: 'Completed' })),
    ];
    const { sales, doubtful } = mergeEvents(stored(rows), others);
    expect(describeRows(sales)).toEqual(['a Pending']);
    expect(ids(doubtful)).toEqual(['a', 'z']);
  });

  it('do not appear below the last row while there are more', () => {
    const rows = [order('b', 5), order('a', 3)];
    const older = [event(0, order('z', 1))];
    expect(ids(mergeEvents(stored(rows, { hasMore: true }), older).sales)).toEqual(['b', 'a']);
    expect(ids(mergeEvents(stored(rows), older).sales)).toEqual(['b', 'a', 'z']);
  });

  it('appear only if the filter matches', () => {
    const matches = (sale: SaleItem) => sale.store === 'paris-1';
    const elsewhere = event(0, order('z', 9, { store: 'lyon-2' }));
    expect(mergeEvents(stored([], { matches }), [elsewhere]).sales).toEqual([]);
  });
});

describe('the first page, read again', () => {
  const rows = [order('c', 5), order('b', 4), order('a', 3)];

  it('keeps the older rows if it reaches them', () => {
    const page = [order('d', 6), order('c', 5, { status: 'Completed' })];
    const replaced = replaceFirstPage(rows, page, false);
    expect(describeRows(replaced.rows)).toEqual(['d Pending', 'c Completed', 'b Pending', 'a Pending']);
    expect(replaced.isContinuous).toBe(true);
  });

  it('replaces everything if something between would be missing', () => {
    const replaced = replaceFirstPage(rows, [order('f', 9), order('e', 8)], false);
    expect(ids(replaced.rows)).toEqual(['f', 'e']);
    expect(replaced.isContinuous).toBe(false);
  });
});

describe('a list that somebody reads', () => {
  it('stands still: rows change in place, new ones wait, and older ones follow', () => {
    const kept = keepRows([order('b', 5), order('a', 3)]);
    const now = [order('c', 6), order('a', 5, { status: 'Completed' }), order('b', 5), order('z', 1)];
    expect(describeRows(arrangeRows(now, kept))).toEqual(['b Pending', 'a Completed', 'z Pending']);
    expect(arrangeRows(now, null)).toBe(now);
  });
});
