/** The simulated gateway's HTTP API, limited to the part that the pages use. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Follow, SettingsProblem, Uplink, Whereabouts } from '../src/lib/api/types';
import { problem, type Answer, type Body } from './answer';
import type { SimulatedGateway } from './gateway';
import type { Identity, IdentityMode } from './identity';
import { closeDay, readDay } from './closings';
import { answerIdentity, auditShopChange, checkAccess, findCaller } from './identityApi';
import { hasFile, writeFile } from './listFile';
import { noSales, type Sales } from './otherShop';
import { hideInAnswer } from './personalData';
import { findMissing } from './requiredFields';
import { completeRefund } from './refunds';
import { searchFor } from './search';
import { STORE } from './shop';

/** A situation that a test sets up with `POST /__sim`. */
export type Scenario = {
  /** Restarts with the initial shop. */
  reset?: boolean;
  /** Restarts with a shop that has no sales. */
  empty?: boolean;
  /** Orders per second that the tills create. */
  rate?: number;
  /** Whether the gateway is unreachable, but for this request. */
  unreachable?: boolean;
  /** The gateway refuses every event: its journal is full. */
  refusing?: boolean;
  /** Nothing was ever sent to Kafka. */
  neverSent?: boolean;
  /** The MQTT broker is up. */
  mqtt?: boolean;
  version?: string;
  /** Restarts with these accounts. */
  identity?: IdentityMode;
  /** The connection is plain HTTP from the network. */
  plain?: boolean;
  /** Ends all sessions of this user or screen. */
  endSessionsOf?: string;
  /** Expires the pairing codes that screens show. */
  expirePairings?: boolean;
  /** Whether the gateway reports that it is the demo. */
  demo?: boolean;
  /** Whether the gateway makes up the fields that a `POST` leaves out. An older gateway does so without saying it. */
  invent?: boolean;
  /** The time zone in which the shop has its days. */
  timeZone?: string;
  settingsProblems?: SettingsProblem[];
  /** Changes what the connection to Kafka has carried. */
  uplink?: Partial<Uplink>;
  /** Which shops' events the gateway reads from Kafka. */
  follow?: Follow;
  /** The other shops whose sales the gateway knows. */
  otherShops?: string[];
  /** Makes a sale at this other shop. */
  sellAt?: string;
};

async function readBody(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  return text === '' ? {} : (JSON.parse(text) as Body);
}

/** Answers an API request. Returns false for any other request. */
export async function handleRequest(
  { gateway, identity }: { gateway: SimulatedGateway; identity: Identity },
  applyScenario: (scenario: Scenario) => void,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  if (url.pathname === '/__sim') {
    applyScenario(await readBody(request));
    send(response, { status: 204 });
    return true;
  }
  if (!url.pathname.startsWith('/api/')) return false;
  const { method = 'GET' } = request;
  const body = method === 'GET' ? {} : await readBody(request);
  const caller = findCaller(identity, request);
  const answer =
    checkAccess(identity, caller, method, url.pathname) ??
    answerIdentity(identity, caller, method, url, body) ??
    (method === 'POST'
      ? post(gateway, url, body, caller.session?.user ?? null)
      : get(gateway, url, { isFile: isFileWanted(request, url), seesAll: identity.seesPersonalData(caller.session) }));
  if (method === 'POST') auditShopChange(identity, caller, url.pathname, answer);
  const isHidden = answer.status === 200 && !identity.seesPersonalData(caller.session);
  const shown = isHidden ? { ...answer, body: hideInAnswer(url.pathname, answer.body) } : answer;
  if (shown.status === 200 && isFileWanted(request, url)) sendFile(request, response, url.pathname, shown);
  else send(response, shown);
  return true;
}

const isFileWanted = ({ headers }: IncomingMessage, { pathname }: URL): boolean =>
  hasFile(pathname) && headers.accept?.startsWith('text/csv') === true;

function sendFile({ headers }: IncomingMessage, response: ServerResponse, path: string, { body }: Answer): void {
  const { items } = body as { items: Record<string, unknown>[] };
  response.setHeader('content-type', 'text/csv; charset=utf-8');
  response.end(writeFile(path, items, headers['accept-language']?.startsWith('fr') === true));
}

function send(response: ServerResponse, { status, body, retryAfter, cookie }: Answer): void {
  response.statusCode = status;
  response.setHeader('cache-control', 'no-store');
  if (cookie !== undefined) response.setHeader('set-cookie', cookie);
  response.setHeader('content-type', status >= 400 ? 'application/problem+json' : 'application/json');
  if (typeof retryAfter === 'number') response.setHeader('retry-after', String(retryAfter));
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

/** Validates ids as the real gateway does: 1 to 128 characters, no control characters. */
function validateIds(body: Body, ...fields: string[]): Answer | null {
  for (const field of fields) {
    const id = body[field];
    if (id === undefined || id === null) continue;
    const reason = typeof id === 'string' ? findIdError(id) : 'expected a string';
    if (reason) return problem('invalid-field', `${field}: ${reason}`, field);
  }
  return null;
}

function findIdError(id: string): string | null {
  const { length } = [...id];
  if (length === 0) return 'empty';
  if (length > 128) return `${length} characters, at most 128`;
  return /\p{Cc}/u.test(id) ? 'holds a control character' : null;
}

function post(gateway: SimulatedGateway, url: URL, body: Body, user: string | null): Answer {
  const retry = /^\/api\/dead-letters\/(\d+)\/retry$/.exec(url.pathname);
  if (retry) return retryDeadLetter(gateway, Number(retry[1]));
  if (url.pathname === '/api/demo/kafka') {
    gateway.setKafka(body.up === true);
    return { status: 204 };
  }
  if (gateway.isRefusing) return problem('journal-full', 'The journal is full, so nothing was stored.');
  const closePath = /^\/api\/days\/([^/]+)\/close$/.exec(url.pathname);
  if (closePath) return closeDay(gateway, decodeURIComponent(closePath[1] ?? ''), user);
  switch (url.pathname) {
    case '/api/orders':
      return (
        validateIds(body, 'order_id') ??
        findMissing(gateway, 'order', body) ?? { status: 201, body: gateway.createOrder(body) }
      );
    case '/api/deliveries':
      return (
        validateIds(body, 'delivery_id', 'order_id') ??
        findMissing(gateway, 'delivery', body) ?? { status: 201, body: gateway.createDelivery(body) }
      );
    case '/api/payments':
      return validateIds(body, 'payment_id', 'order_id', 'refund_of') ?? takePayment(gateway, body);
    default:
      return problem('not-found', `There is nothing at ${url.pathname}.`);
  }
}

/** Idempotent: a repeated payment returns the stored one. */
function takePayment(gateway: SimulatedGateway, body: Body): Answer {
  const known = gateway.payments.find(({ payment_id }) => payment_id === body.payment_id);
  if (known) return { status: 201, body: known };
  const refund = completeRefund(gateway.payments, body);
  if ('refusal' in refund) return refund.refusal;
  return findMissing(gateway, 'payment', refund.body) ?? { status: 201, body: gateway.createPayment(refund.body) };
}

function retryDeadLetter(gateway: SimulatedGateway, offset: number): Answer {
  const letter = gateway.deadLetters.find((known) => known.offset === offset);
  if (!letter) return problem('dead-letter-not-found', `There is no dead letter ${offset}.`);
  if (!gateway.decodableOffsets.has(offset)) {
    return problem('dead-letter-undecodable', `The dead letter still cannot be decoded: ${letter.reason}.`);
  }
  if (letter.retried !== null) {
    return problem('dead-letter-already-stored', 'The dead letter was decoded and stored by an earlier attempt.');
  }
  letter.retried = gateway.iso(gateway.now());
  return { status: 201, body: { ce_id: letter.ce_id } };
}

const limitOf = (url: URL) => Math.min(500, Number(url.searchParams.get('limit') ?? 50));

function get(gateway: SimulatedGateway, url: URL, view: View): Answer {
  const store = url.searchParams.get('store') ?? STORE;
  const sales = store === STORE ? gateway : (gateway.otherShops.get(store) ?? noSales);
  const orderPath = /^\/api\/orders\/(.+)$/.exec(url.pathname);
  if (orderPath) return orderLife(sales, decodeURIComponent(orderPath[1] ?? ''));
  const dayPath = /^\/api\/days\/(.+)$/.exec(url.pathname);
  if (dayPath) return readDay(gateway, decodeURIComponent(dayPath[1] ?? ''));
  switch (url.pathname) {
    case '/api/orders':
      return listPage(sales.orders, url, gateway.timeZone, view);
    case '/api/payments':
      return listPage(sales.payments, url, gateway.timeZone, view);
    case '/api/deliveries':
      return listPage(sales.deliveries, url, gateway.timeZone, view);
    case '/api/stats':
      return { status: 200, body: sales.stats() };
    case '/api/shops':
      return { status: 200, body: { own: STORE, others: [...gateway.otherShops.keys()].sort() } };
    case '/api/gateway':
      return { status: 200, body: gateway.gateway() };
    case '/api/dead-letters': {
      const before = Number(url.searchParams.get('before') ?? Infinity);
      const letters = gateway.deadLetters.filter(({ offset }) => offset < before).slice(0, limitOf(url));
      return { status: 200, body: letters };
    }
    default:
      return problem('not-found', `There is nothing at ${url.pathname}.`);
  }
}

/** What a caller gets of a list. */
type View = { isFile: boolean; seesAll: boolean };

type Listed = Whereabouts & { status: string; timestamp: string };

/** A page of a list, or all of it for a file. */
function listPage(all: readonly Listed[], url: URL, timeZone: string, { isFile, seesAll }: View): Answer {
  const hasWords = searchFor(url.searchParams.get('q') ?? '', timeZone, seesAll);
  const limit = isFile ? Infinity : limitOf(url);
  const status = url.searchParams.get('status');
  // The cursor is the row of the previous page's last item, so that new items do not shift the pages.
  const before = Number(url.searchParams.get('cursor') ?? Infinity);
  const from = Date.parse(url.searchParams.get('from') ?? '1970-01-01');
  const to = Date.parse(url.searchParams.get('to') ?? '9999-12-31');
  const isWanted = (item: Listed) => {
    const time = Date.parse(item.timestamp);
    return (
      (item.row ?? 0) < before &&
      (status === null || item.status === status) &&
      time >= from &&
      time < to &&
      (hasWords?.(item) ?? true)
    );
  };
  const rest = all.filter(isWanted);
  const items = rest.slice(0, limit);
  return { status: 200, body: { items, next_cursor: rest.length > limit ? String(items.at(-1)?.row) : null } };
}

function orderLife(sales: Sales, id: string): Answer {
  const order = sales.orders.find(({ order_id }) => order_id === id) ?? null;
  const payments = sales.payments.filter(({ order_id }) => order_id === id).reverse();
  const deliveries = sales.deliveries.filter(({ order_id }) => order_id === id).reverse();
  if (!order && payments.length + deliveries.length === 0)
    return problem('order-not-found', `No order ${id} is known here.`);
  return { status: 200, body: { order, payments, deliveries, corrections: [] } };
}
