/** The HTTP side of the simulated gateway: the same addresses and answers as the real one, as far as the pages use them. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { PROBLEMS, type Problem, type ProblemType, type SettingsProblem } from '../src/lib/api/types';
import type { SimulatedGateway } from './gateway';

type Answer = { status: number; body?: unknown; retryAfter?: number | null };
/** What a test may ask of the simulator itself; no real gateway has this. */
export type Control = { configure: (wish: Wish) => void };
export type Wish = { rate?: number; empty?: boolean; away?: number; refusing?: boolean; mqtt?: boolean; version?: string; settings?: SettingsProblem[]; reset?: boolean };

function problem(name: Suffix<ProblemType>, detail: string, field?: string): Answer {
  const type: ProblemType = `urn:comptoir:problem:${name}`;
  const { title, status, stored, retry_after } = PROBLEMS[type];
  const body: Problem = { type, title, status, detail, stored, ...(field ? { field } : {}) };
  return { status, body, retryAfter: retry_after };
}
type Suffix<T> = T extends `urn:comptoir:problem:${infer S}` ? S : never;

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
}

/** What the gateway asks of an id, see `MAX_ID` and `sale/draft.rs`: any text that is not too long and holds no control character. */
function badId(given: Record<string, unknown>, ...fields: string[]): Answer | null {
  for (const field of fields) {
    const id = given[field];
    if (id === undefined || id === null) continue;
    const length = typeof id === 'string' ? [...id].length : 0;
    const why =
      typeof id !== 'string' ? 'expected a string'
      : length === 0 ? 'empty'
      : length > 128 ? `${length} characters, at most 128`
      : /\p{Cc}/u.test(id) ? 'holds a control character'
      : null;
    if (why) return problem('invalid-field', `${field}: ${why}`, field);
  }
  return null;
}

export async function answer(gateway: SimulatedGateway, control: Control, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  if (!url.pathname.startsWith('/api/') && url.pathname !== '/__sim') return false;
  const result = request.method === 'POST' ? post(gateway, control, url, await bodyOf(request)) : get(gateway, url);
  response.statusCode = result.status;
  response.setHeader('content-type', result.status >= 400 ? 'application/problem+json' : 'application/json');
  if (typeof result.retryAfter === 'number') response.setHeader('retry-after', String(result.retryAfter));
  response.end(result.body === undefined ? undefined : JSON.stringify(result.body));
  return true;
}

function post(gateway: SimulatedGateway, control: Control, url: URL, given: Record<string, unknown>): Answer {
  const retry = /^\/api\/dead-letters\/(\d+)\/retry$/.exec(url.pathname);
  if (retry) return retried(gateway, Number(retry[1]));
  if (url.pathname === '/__sim') {
    control.configure(given);
    return { status: 204 };
  }
  if (url.pathname === '/api/demo/kafka') {
    gateway.turnKafka(given.up === true);
    return { status: 204 };
  }
  if (gateway.refusing) return problem('journal-full', 'The journal is full, so nothing was stored.');
  switch (url.pathname) {
    case '/api/orders':
      return badId(given, 'order_id') ?? { status: 201, body: gateway.createOrder(given) };
    case '/api/deliveries':
      return badId(given, 'delivery_id', 'order_id') ?? { status: 201, body: gateway.createDelivery(given) };
    case '/api/payments':
      // A payment that is known is told again, not made again.
      return badId(given, 'payment_id', 'order_id') ?? { status: 201, body: gateway.payments.find((p) => p.payment_id === given.payment_id) ?? gateway.createPayment(given) };
    default:
      return problem('not-found', `There is nothing at ${url.pathname}.`);
  }
}

function retried(gateway: SimulatedGateway, offset: number): Answer {
  const letter = gateway.deadLetters.find((d) => d.offset === offset);
  if (!letter) return problem('dead-letter-not-found', `There is no dead letter ${offset}.`);
  // The one with an unknown version "can be decoded since the update"; the others are simply wrong.
  if (!letter.reason.includes('version')) return problem('dead-letter-undecodable', `The dead letter still cannot be decoded: ${letter.reason}.`);
  if (letter.retried !== null) return problem('dead-letter-already-stored', 'The dead letter was decoded and stored by an earlier attempt.');
  letter.retried = gateway.iso(gateway.now());
  return { status: 201, body: { ce_id: letter.ce_id } };
}

function get(gateway: SimulatedGateway, url: URL): Answer {
  const limit = Math.min(500, Number(url.searchParams.get('limit') ?? 50));
  const life = /^\/api\/orders\/(.+)$/.exec(url.pathname);
  if (life) {
    const key = decodeURIComponent(life[1] ?? '');
    const order = gateway.orders.find((o) => o.order_id === key);
    if (!order) return problem('order-not-found', `No order ${key} is known here.`);
    return {
      status: 200,
      body: { order, payments: gateway.payments.filter((p) => p.order_id === key).reverse(), deliveries: gateway.deliveries.filter((d) => d.order_id === key).reverse() },
    };
  }
  switch (url.pathname) {
    case '/api/orders': {
      // The cursor names the last item given: what arrives meanwhile shifts no page.
      const cursor = url.searchParams.get('cursor');
      const from = cursor === null ? 0 : gateway.orders.findIndex((o) => o.order_id === cursor) + 1;
      const items = gateway.orders.slice(from, from + limit);
      return { status: 200, body: { items, next_cursor: from + limit < gateway.orders.length ? items.at(-1)?.order_id : null } };
    }
    case '/api/stats':
      return { status: 200, body: gateway.stats() };
    case '/api/gateway':
      return { status: 200, body: gateway.gateway() };
    case '/api/dead-letters': {
      const before = Number(url.searchParams.get('before') ?? Infinity);
      return { status: 200, body: gateway.deadLetters.filter((d) => d.offset < before).slice(0, limit) };
    }
    default:
      return problem('not-found', `There is nothing at ${url.pathname}.`);
  }
}
