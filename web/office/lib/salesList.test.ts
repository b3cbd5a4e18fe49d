import { describe, expect, it } from 'vitest';
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
    requests[0]?.answer({ items: [sale('a'), sale('b')], next: 'n1' });
    await first;
    expect(ids(list.sales)).toEqual(['a', 'b']);
    expect(list.hasMore).toBe(true);
    const second = list.more();
    void list.more();
    expect(requests.map(({ after }) => after)).toEqual([null, 'n1']);
    requests[1]?.answer({ items: [sale('c')] });
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
    requests[1]?.answer({ items: [sale('b')] });
    await some;
    requests[0]?.answer({ items: [sale('a')], next: 'n1' });
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
    requests[1]?.answer({ items: [sale('a')], next: 'n1' });
    await again;
    const second = list.more();
    requests[2]?.fail();
    await second;
    expect(ids(list.sales)).toEqual(['a']);
    const third = list.more();
    requests[3]?.answer({ items: [sale('b')] });
    await third;
    expect(requests.map(({ after }) => after)).toEqual([null, null, 'n1', 'n1']);
    expect(ids(list.sales)).toEqual(['a', 'b']);
  });

  it('ends after so many pages, whatever there is', async () => {
    let reads = 0;
    const list = new SalesList(() => {
      reads += 1;
      return Promise.resolve({ items: [sale(`p-${reads}`)], next: `n${reads}` });
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
