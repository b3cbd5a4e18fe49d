/** Requests to the gateway. Every failure becomes a `Refusal`, so that pages have one thing to show. */
import type { DeadLetter, Delivery, Gateway, Order, OrderLife, Page, Payment, Problem } from './types';

export class Refusal extends Error {
  /** `null`: the gateway was not reached. */
  readonly problem: Problem | null;

  constructor(problem: Problem | null) {
    super(problem?.detail ?? 'The gateway was not reached');
    this.problem = problem;
  }

  /**
   * Whether nothing was done. Without an answer that is not known: it may be the answer that was lost, not the request. Nor with
   * one that says that the gateway failed, except where it says that it could not write.
   */
  get certain(): boolean {
    if (this.problem === null) return false;
    return this.problem.status < 500 || (this.problem.status === 503 && !this.problem.detail.startsWith('the journal could not be read'));
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
  const problem = (await response.json().catch(() => null)) as Problem | null;
  throw new Refusal(problem ?? { type: 'about:blank', title: response.statusText, status: response.status, detail: response.statusText });
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
  orderLife: (id: string) => get<OrderLife>(`/api/orders/${encodeURIComponent(id)}`),
  gateway: () => get<Gateway>('/api/gateway'),
  deadLetters: (before: number | null, limit = 20) =>
    get<DeadLetter[]>(`/api/dead-letters?limit=${limit}${before === null ? '' : `&before=${before}`}`),
  retryDeadLetter: (offset: number) => post<{ ce_id: string }>(`/api/dead-letters/${offset}/retry`, {}),
  demoKafka: (up: boolean) => request('/api/demo/kafka', { up }),
};
