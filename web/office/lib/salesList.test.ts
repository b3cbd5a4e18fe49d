import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LiveEvent } from './liveEvents';
import { NO_FILTER, type SalesFilter } from './salesFilter';
import { MAX_PAGES, SalesList } from './salesList.svelte';
import type { SaleItem, SalesPage } from './types';

const sale = (id: string): SaleItem => ({
  store: 'paris-1',
  kind: 'payment',
  device: 'till-1',
  id,
  order_id: 'o-1',
  status: 'SUCCESS',
  time: '2026-03-16T15:00:00Z',
  corrections: 0,
  epoch: 7,
  number: 1,
  value: {},
});
const ids = (sales: readonly SaleItem[] | null) => sales?.map(({ id }) => id);

/** An office whose answers the test gives. */
function createOffice() {
  type Request = { filter: SalesFilter; after: string | null; answer: (page: SalesPage) => void; fail: () => void };
  const requests: Request[] = [];
  const list = new SalesList((filter, after) => {
    return new Promise((resolve, reject) => {
      requests.push({ filter, after, answer: resolve, fail: () => reject(new Error('unreachable')) });
    });
  });
  return { list, requests };
}

describe('the list of sales', () => {
  it('continues with the cursor of the page before, until the last one', async () => {
    const { list, requests } = createOffice();
    const first = list.show(NO_FILTER);
    expect(list).toMatchObject({ sales: null, isReading: true });
    requests[0]?.answer({ items: [sale('a'), sale('b')], read: {}, next: 'n1' });
    await first;
    expect(ids(list.sales)).toEqual(['a', 'b']);
    expect(list.hasMore).toBe(true);
    const second = list.more();
    void list.more();
    expect(requests.map(({ after }) => after)).toEqual([null, 'n1']);
    requests[1]?.answer({ items: [sale('c')], read: {} });
    await second;
    expect(ids(list.sales)).toEqual(['a', 'b', 'c']);
    expect(list).toMatchObject({ hasMore: false, isReading: false, error: null });
    await list.more();
    expect(requests).toHaveLength(2);
  });

  it('takes no answer to the question before', async () => {
    const { list, requests } = createOffice();
    const all = list.show(NO_FILTER);
    const some = list.show({ ...NO_FILTER, store: 'lyon-2' });
    requests[1]?.answer({ items: [sale('b')], read: {} });
    await some;
    requests[0]?.answer({ items: [sale('a')], read: {}, next: 'n1' });
    await all;
    expect(ids(list.sales)).toEqual(['b']);
    expect(list.hasMore).toBe(false);
  });

  it('keeps what it has if a page cannot be read, and reads that page again', async () => {
    const { list, requests } = createOffice();
    const first = list.show(NO_FILTER);
    requests[0]?.fail();
    await first;
    expect(list).toMatchObject({ sales: null, isReading: false });
    expect(list.error).toBeInstanceOf(Error);
    const again = list.more();
    expect(list.error).toBeNull();
    requests[1]?.answer({ items: [sale('a')], read: {}, next: 'n1' });
    await again;
    const second = list.more();
    requests[2]?.fail();
    await second;
    expect(ids(list.sales)).toEqual(['a']);
    const third = list.more();
    requests[3]?.answer({ items: [sale('b')], read: {} });
    await third;
    expect(requests.map(({ after }) => after)).toEqual([null, null, 'n1', 'n1']);
    expect(ids(list.sales)).toEqual(['a', 'b']);
  });

  it('ends after so many pages, whatever there is', async () => {
    let reads = 0;
    const list = new SalesList(() => {
      reads += 1;
      return Promise.resolve({ items: [sale(`p-${reads}`)], next: `n${reads}`, read: {} });
    });
    await list.show(NO_FILTER);
    for (let i = 0; i < MAX_PAGES + 5; i += 1) await list.more();
    expect(reads).toBe(MAX_PAGES);
    expect(list.isFull).toBe(true);
    await list.show(NO_FILTER);
    expect(list.isFull).toBe(false);
    expect(list.sales).toHaveLength(1);
  });
});

describe('the list while sales happen', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const event = (id: string, offset: number, more: Partial<SaleItem> = {}): LiveEvent => ({
    sale: { ...sale(id), time: '2026-03-16T16:00:00Z', ...more },
    partition: 0,
    offset,
    appended: '2026-03-16T16:00:01Z',
  });

  /** Answers the latest request, and lets the list take the answer. */
  async function answer(requests: { answer: (page: SalesPage) => void }[], page: SalesPage) {
    requests.at(-1)?.answer(page);
    await vi.advanceTimersByTimeAsync(0);
  }

  it('is read again until it has everything from before the connection', async () => {
    const { list, requests } = createOffice();
    list.reload({ restart: false, sent: { payment: { 0: 2 } } });
    void list.show(NO_FILTER);
    list.add(event('c', 2));
    await answer(requests, { items: [sale('a')], read: { payment: { 0: 1 } } });
    expect(ids(list.sales)).toEqual(['c', 'a']);
    await vi.advanceTimersByTimeAsync(500);
    expect(requests).toHaveLength(2);
    await answer(requests, { items: [sale('b'), sale('a')], read: { payment: { 0: 2 } } });
    expect(ids(list.sales)).toEqual(['c', 'b', 'a']);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(requests).toHaveLength(2);
    list.stop();
  });

  it('ends as the database says', async () => {
    const { list, requests } = createOffice();
    void list.show(NO_FILTER);
    await answer(requests, { items: [], read: {} });
    list.add(event('a', 0));
    list.add(event('invented', 1));
    expect(list.sales).toHaveLength(2);
    list.reload({ restart: false, sent: { payment: { 0: 2 } } });
    await vi.advanceTimersByTimeAsync(1000);
    await answer(requests, { items: [sale('a')], read: { payment: { 0: 2 } } });
    expect(ids(list.sales)).toEqual(['a']);
    list.stop();
  });

  it('asks the database what another till has changed', async () => {
    const { list, requests } = createOffice();
    const order = { ...sale('o-1'), kind: 'order', status: 'Pending' };
    void list.show(NO_FILTER);
    await answer(requests, { items: [order], read: {} });
    list.add(event('o-1', 0, { kind: 'order', device: 'till-2', status: 'Cancelled' }));
    expect(list.sales?.[0]?.status).toBe('Pending');
    await vi.advanceTimersByTimeAsync(500);
    await answer(requests, { items: [{ ...order, corrections: 1 }], read: { order: { 0: 1 } } });
    expect(list.sales).toMatchObject([{ status: 'Pending', corrections: 1 }]);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(requests).toHaveLength(2);
    list.stop();
  });
});
