/** Searches of orders, payments and deliveries. */
import type { ListName } from '../api/file';
import { RequestError, send } from '../api/http';
import type { Delivery, Order, Page, Payment } from '../api/types';
import { isDelivery, isOrder, isPayment } from '../live/showable';

export type Sale = { orders: Order; payments: Payment; deliveries: Delivery };
export type SearchQuery = { words: string; limit: number; cursor?: string | null };

const TIMEOUT_MS = 10_000;
const isShowable: { [L in ListName]: (row: unknown) => row is Sale[L] } = {
  orders: isOrder,
  payments: isPayment,
  deliveries: isDelivery,
};

/**
 * The sales of a list with these words, newest first. `next_cursor` leads to those that were not searched yet.
 *
 * @throws RequestError without a response if `signal` is aborted, too.
 */
export async function searchSales<L extends ListName>(
  list: L,
  { words, limit, cursor = null }: SearchQuery,
  signal: AbortSignal,
): Promise<Page<Sale[L]>> {
  const parameters = new URLSearchParams({ q: words, limit: String(limit) });
  if (cursor !== null) parameters.set('cursor', cursor);
  const request = new AbortController();
  const abort = () => request.abort();
  const timer = setTimeout(abort, TIMEOUT_MS);
  signal.addEventListener('abort', abort);
  try {
    const response = await send(`/api/${list}?${parameters}`, { signal: request.signal });
    const page = (await response.json()) as Page<Sale[L]>;
    return { ...page, items: page.items.filter(isShowable[list]) };
  } catch (error) {
    // A truncated response counts as no response.
    throw error instanceof RequestError ? error : new RequestError(null);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}
