/** Requests to the gateway. Every failure is a `RequestError`, so that pages handle one type. */
import { isDelivery, isOrder, isPayment } from '../live/showable';
import type {
  DeadLetter,
  Delivery,
  Gateway,
  Order,
  OrderLife,
  Page,
  Payment,
  Problem,
  ProblemType,
  Shops,
  Stats,
} from './types';

export class RequestError extends Error {
  /** `null` if there is no response, or if it is not the gateway's own but, for example, a proxy's. */
  readonly problem: Problem | null;
  /** `null` if there is no response. */
  readonly status: number | null;
  /** Seconds to wait before a retry, from the `Retry-After` header. */
  readonly retryAfter: number | null;

  constructor(problem: Problem | null, status = problem?.status ?? null, retryAfter: number | null = null) {
    super(problem?.detail ?? 'The gateway did not answer');
    this.problem = problem;
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** The gateway stored nothing. Only its own answer can say so: an unanswered request may have arrived. */
  get isNotStored(): boolean {
    return this.problem?.stored === 'no';
  }

  has(type: ProblemType): boolean {
    return this.problem?.type === type;
  }
}

/** Longer than almost any request takes the gateway. Without a timeout, a page waits forever on a dead connection. */
const TIMEOUT_MS = 10_000;

let reportRefusal: () => void = () => undefined;

/** Calls `listener` whenever the gateway refuses a request because the session ended or its role is too low. */
export function onRefusal(listener: () => void): void {
  reportRefusal = listener;
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export async function request(method: Method, path: string, body?: unknown, timeoutMs = TIMEOUT_MS): Promise<Response> {
  const json = { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  return send(path, {
    method,
    signal: AbortSignal.timeout(timeoutMs),
    ...(body === undefined ? {} : json),
  });
}

/** A request without its own timeout. */
export async function send(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    // Responses belong to one person: the next person at this browser must not find them in its cache.
    response = await fetch(path, { cache: 'no-store', ...init });
  } catch {
    throw new RequestError(null);
  }
  if (response.ok) return response;
  const error = new RequestError(await readProblem(response), response.status, readRetryAfter(response));
  const isRefusal =
    error.has('urn:comptoir:problem:sign-in-required') ||
    error.has('urn:comptoir:problem:forbidden') ||
    error.has('urn:comptoir:problem:setup-required');
  if (isRefusal) reportRefusal();
  throw error;
}

async function readProblem(response: Response): Promise<Problem | null> {
  if (response.headers.get('content-type') !== 'application/problem+json') return null;
  return (await response.json().catch(() => null)) as Problem | null;
}

function readRetryAfter(response: Response): number | null {
  const header = response.headers.get('retry-after');
  return header !== null && /^\d+$/.test(header) ? Number(header) : null;
}

async function readJson<T>(response: Response): Promise<T> {
  try {
    return (await response.json()) as T;
  } catch {
    // A truncated response counts as no response.
    throw new RequestError(null);
  }
}

export const get = async <T>(path: string): Promise<T> => readJson(await request('GET', path));
export const post = async <T>(path: string, body: unknown, timeoutMs?: number): Promise<T> =>
  readJson(await request('POST', path, body, timeoutMs));

/** Without `store`, a list is this shop's. */
export type ListQuery = { store?: string; status?: string | null; cursor?: string | null };

const PAGE_LENGTH = 50;

/** Requests a page of a list, and leaves out rows that cannot be shown. */
const listOf =
  <T>(path: string, isShowable: (row: unknown) => row is T) =>
  async (query: ListQuery): Promise<Page<T>> => {
    const parameters = new URLSearchParams({ limit: String(PAGE_LENGTH) });
    for (const [name, value] of Object.entries(query)) if (typeof value === 'string') parameters.set(name, value);
    const page = await get<Page<T>>(`${path}?${parameters}`);
    return { ...page, items: page.items.filter(isShowable) };
  };

async function orderLife(id: string, store: string): Promise<OrderLife> {
  const life = await get<OrderLife>(`/api/orders/${encodeURIComponent(id)}?store=${encodeURIComponent(store)}`);
  return {
    order: isOrder(life.order) ? life.order : null,
    payments: life.payments.filter(isPayment),
    deliveries: life.deliveries.filter(isDelivery),
    corrections: life.corrections,
  };
}

export const api = {
  createOrder: () => post<Order>('/api/orders', {}),
  createPayment: (payment: Partial<Payment>) => post<Payment>('/api/payments', payment),
  createDelivery: () => post<Delivery>('/api/deliveries', {}),
  orders: listOf('/api/orders', isOrder),
  payments: listOf('/api/payments', isPayment),
  deliveries: listOf('/api/deliveries', isDelivery),
  orderLife,
  stats: (store: string) => get<Stats>(`/api/stats?store=${encodeURIComponent(store)}`),
  shops: () => get<Shops>('/api/shops'),
  gateway: () => get<Gateway>('/api/gateway'),
  deadLetters: (before: number | null, limit = 20) =>
    get<DeadLetter[]>(`/api/dead-letters?limit=${limit}${before === null ? '' : `&before=${before}`}`),
  /** With the whole payload: a list has only its beginning. */
  deadLetter: (offset: number) => get<DeadLetter>(`/api/dead-letters/${offset}`),
  retryDeadLetter: (offset: number) => post<{ ce_id: string }>(`/api/dead-letters/${offset}/retry`, {}),
  setDemoKafka: (up: boolean) => request('POST', '/api/demo/kafka', { up }),
};
