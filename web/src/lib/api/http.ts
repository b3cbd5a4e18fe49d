/** Requests to the gateway. Every failure becomes a `Refusal`, so that pages have one thing to show. */
import type { DeadLetter, Delivery, Gateway, Order, OrderLife, Page, Payment, Problem } from './types';

export class Refusal extends Error {
  /** `null`: there was no answer, or it is not the gateway's own, as that of a proxy in between. */
  readonly problem: Problem | null;
  /** `null`: there was no answer. */
  readonly status: number | null;

  constructor(problem: Problem | null, status = problem?.status ?? null) {
    super(problem?.detail ?? 'The gateway did not answer');
    this.problem = problem;
    this.status = status;
  }

  /** Whether nothing was stored. Only the gateway can say that: without its answer the request may have arrived. */
  get certain(): boolean {
    return this.problem?.stored === 'no';
  }
}

/** Longer than the gateway takes for anything; without it a page waits for ever on a dead link. */
const PATIENCE_MS = 10_000;

async function request(path: string, body?: unknown): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, {
      signal: AbortSignal.timeout(PATIENCE_MS),
      ...(body === undefined ? {} : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
  } catch {
    throw new Refusal(null);
  }
  if (response.ok) return response;
  throw new Refusal(await problemOf(response), response.status);
}

/** A proxy's answer is no problem of the gateway's. */
async function problemOf(response: Response): Promise<Problem | null> {
  if (response.headers.get('content-type') !== 'application/problem+json') return null;
  return (await response.json().catch(() => null)) as Problem | null;
}

/** An answer that breaks off in the middle is none. */
const read = async <T>(response: Response): Promise<T> => {
  try {
    return (await response.json()) as T;
  } catch {
    throw new Refusal(null);
  }
};
const get = async <T>(path: string): Promise<T> => read(await request(path));
const post = async <T>(path: string, body: unknown): Promise<T> => read(await request(path, body));

export const api = {
  createOrder: () => post<Order>('/api/orders', {}),
  createPayment: (payment: Partial<Payment>) => post<Payment>('/api/payments', payment),
  createDelivery: () => post<Delivery>('/api/deliveries', {}),
  orders: (cursor: string | null, limit = 50) =>
    get<Page<Order>>(`/api/orders?limit=${limit}${cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`}`),
  orderLife: (id: string, store: string) => get<OrderLife>(`/api/orders/${encodeURIComponent(id)}?store=${encodeURIComponent(store)}`),
  gateway: () => get<Gateway>('/api/gateway'),
  deadLetters: (before: number | null, limit = 20) =>
    get<DeadLetter[]>(`/api/dead-letters?limit=${limit}${before === null ? '' : `&before=${before}`}`),
  retryDeadLetter: (offset: number) => post<{ ce_id: string }>(`/api/dead-letters/${offset}/retry`, {}),
  demoKafka: (up: boolean) => request('/api/demo/kafka', { up }),
};
