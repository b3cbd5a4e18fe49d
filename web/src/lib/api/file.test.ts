import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fetchFile, fileName, listPath } from './file';
import { RequestError } from './http';

const options = (onProgress: (bytes: number) => void = () => undefined) => ({
  language: 'fr',
  signal: new AbortController().signal,
  onProgress,
});

describe('the period of a file', () => {
  beforeEach(() => vi.stubEnv('TZ', 'Europe/Paris'));
  afterEach(() => vi.unstubAllEnvs());

  it('begins and ends with days of the reader, whose lengths differ', () => {
    expect(listPath('orders', { first: '2026-03-29', last: '2026-03-29' })).toBe(
      '/api/orders?from=2026-03-28T23%3A00%3A00.000Z&to=2026-03-29T22%3A00%3A00.000Z',
    );
    expect(listPath('payments', { first: '', last: '2026-12-31' })).toBe(
      '/api/payments?to=2026-12-31T23%3A00%3A00.000Z',
    );
    expect(listPath('deliveries', { first: '', last: '' })).toBe('/api/deliveries');
    expect(listPath('orders', { first: '', last: '' }, 'tarte & thé')).toBe('/api/orders?q=tarte+%26+th%C3%A9');
  });

  it('is in the name of the file', () => {
    expect(fileName('orders', { first: '2026-11-01', last: '2026-11-30' })).toBe('orders_2026-11-01_2026-11-30.csv');
    expect(fileName('orders', { first: '', last: '' })).toBe('orders.csv');
  });
});

describe('a file', () => {
  afterEach(() => vi.unstubAllGlobals());

  const answer = (body: ReadableStream<Uint8Array>) => {
    const fetched = vi.fn<typeof fetch>(() => Promise.resolve(new Response(body)));
    vi.stubGlobal('fetch', fetched);
    return fetched;
  };

  it('is requested in the language of the page and reports its progress', async () => {
    const fetched = answer(
      new ReadableStream({
        start(controller) {
          for (const part of ['a;b\r\n', '1;2\r\n']) controller.enqueue(new TextEncoder().encode(part));
          controller.close();
        },
      }),
    );
    const progress: number[] = [];
    const file = await fetchFile(
      '/api/orders',
      options((bytes) => progress.push(bytes)),
    );
    expect(await file.text()).toBe('a;b\r\n1;2\r\n');
    expect(progress).toEqual([5, 10]);
    expect(fetched.mock.calls[0]?.[1]?.headers).toEqual({ accept: 'text/csv', 'accept-language': 'fr' });
  });

  it('that is cut off is no file', async () => {
    answer(
      new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode('a;b\r\n'));
          controller.error(new TypeError('network error'));
        },
      }),
    );
    await expect(fetchFile('/api/orders', options())).rejects.toThrow(RequestError);
  });
});
