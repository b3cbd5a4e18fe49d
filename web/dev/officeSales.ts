/** The sales of a simulated office: the same filters, cursor and problems as those of the real one. */
import type { SaleItem, SalesPage } from '../office/lib/types';
import { address, createRandom, customer, id, lines, method, pick, summaryOf, totalOf } from './shop';

export type SalesAnswer = { status: number; type: string; body: string };

const MINUTE_MS = 60_000;
/** Each order has a payment and a delivery. */
const KINDS = ['delivery', 'payment', 'order'] as const;
const MINUTES_BETWEEN_ORDERS = 25;

/** The newest sale is at `base`, in Unix milliseconds. */
export function createSales(count: number, stores: readonly string[], base: number): SaleItem[] {
  const orders = Array.from({ length: Math.ceil(count / KINDS.length) }, (_, n) => createOrder(n, stores, base));
  return orders.flat().slice(0, count);
}

/** An order with its payment and its delivery, the newest first. */
function createOrder(n: number, stores: readonly string[], base: number): SaleItem[] {
  const random = createRandom(4000 + n);
  const store = stores[n % stores.length] ?? 'paris-1';
  const device = n % 7 === 3 ? 'counter' : `till-${1 + (n % 4)}`;
  const [order_id, payment_id, delivery_id] = [id(random, 'o'), id(random, 'p'), id(random, 'd')];
  const [buyer, basket, where] = [customer(random), lines(random), address(random)];
  const [amount, currency] = n % 10 === 4 ? [1234.5, 'TND'] : n % 10 === 6 ? [1500, 'JPY'] : [totalOf(basket), 'EUR'];
  const isPaid = n % 9 !== 5;
  const at = (minutes: number) => new Date(base - (n * MINUTES_BETWEEN_ORDERS + minutes) * MINUTE_MS).toISOString();
  const common = { order_id, store, device };
  const created: Record<
    (typeof KINDS)[number],
    Omit<SaleItem, 'kind' | 'corrections' | 'store' | 'device' | 'order_id' | 'epoch' | 'number'>
  > = {
    order: {
      id: order_id,
      status: isPaid ? 'Completed' : 'Pending',
      time: at(2),
      amount,
      currency,
      value: {
        ...common,
        // Right to left, with a character that would reorder the text beside it.
        customer_name: n === 2 ? 'ليلى \u202eحداد' : buyer.name,
        customer_email: buyer.email,
        product: summaryOf(basket),
        lines: currency === 'EUR' ? basket : [],
        amount,
        currency,
        status: isPaid ? 'Completed' : 'Pending',
        address: where,
        timestamp: at(2),
      },
    },
    payment: {
      id: payment_id,
      status: isPaid ? 'SUCCESS' : 'FAILED',
      time: at(1),
      amount,
      currency,
      value: {
        ...common,
        payment_id,
        amount,
        currency,
        method: method(random),
        status: isPaid ? 'SUCCESS' : 'FAILED',
        timestamp: at(1),
        // A later version of the gateway writes more.
        ...(n === 1 ? { tip: { amount: 1.5, note: '<b>merci</b>' } } : {}),
      },
    },
    delivery: {
      id: delivery_id,
      status: pick(random, ['Pending', 'In Transit', 'Delivered']),
      time: at(0),
      value: {
        ...common,
        delivery_id,
        address: where,
        estimated_date: '2026-03-18',
        status: 'Pending',
        timestamp: at(0),
      },
    },
  };
  return KINDS.map((kind) => ({
    ...common,
    kind,
    epoch: 7,
    number: 3 * n + 1,
    corrections: kind === 'order' && n % 8 === 1 ? 2 : 0,
    ...created[kind],
  }));
}

const json = (status: number, body: object): SalesAnswer => ({
  status,
  type: status >= 400 ? 'application/problem+json' : 'application/json',
  body: JSON.stringify(body),
});

function refuse(field: string | undefined, detail: string): SalesAnswer {
  return json(400, { type: 'urn:comptoir:problem:invalid-query', status: 400, detail, ...(field ? { field } : {}) });
}

export function answerSales(
  { pathname, searchParams }: URL,
  all: readonly SaleItem[],
  read: Record<string, Record<number, number>>,
): SalesAnswer {
  const problem = checkQuery(searchParams);
  if (problem) return problem;
  const text = (name: string) => searchParams.get(name);
  const [store, kind, search] = [text('store'), text('kind'), text('search') ?? ''];
  const [since, until] = [text('since'), text('until')];
  const matching = all.filter(
    (sale) =>
      (store === null || sale.store === store) &&
      (kind === null || sale.kind === kind) &&
      (since === null || Date.parse(sale.time) >= Date.parse(since)) &&
      (until === null || Date.parse(sale.time) < Date.parse(until)) &&
      (sale.id.startsWith(search) || sale.order_id.startsWith(search)),
  );
  if (pathname.endsWith('.csv')) return { status: 200, type: 'text/csv; charset=utf-8', body: toCsv(matching) };
  const after = text('after');
  const start = after === null ? 0 : matching.findIndex((sale) => cursorOf(sale) === after) + 1;
  const items = matching.slice(start, start + Number(text('limit') ?? 50));
  const last = items.at(-1);
  const isLast = last === undefined || last === matching.at(-1);
  return json(200, { items, read, ...(isLast ? {} : { next: cursorOf(last) }) } satisfies SalesPage);
}

const cursorOf = ({ time, store, kind, id }: SaleItem): string =>
  Buffer.from([time, store, kind, id].join()).toString('base64url');

function checkQuery(query: URLSearchParams): SalesAnswer | null {
  const known = ['store', 'kind', 'since', 'until', 'search', 'limit', 'after'];
  const unknown = [...query.keys()].find((name) => !known.includes(name));
  if (unknown !== undefined) return refuse(undefined, `unknown field \`${unknown}\``);
  for (const name of ['since', 'until']) {
    if (Number.isNaN(Date.parse(query.get(name) ?? '2026-01-01'))) return refuse(undefined, `${name}: not a time`);
  }
  const store = query.get('store');
  if (store !== null && !/^[a-z0-9][a-z0-9-]{0,31}$/.test(store)) {
    const rule = "only a-z, 0-9 and '-', not starting with '-', 1 to 32 characters";
    return refuse('store', `store ${JSON.stringify(store)}: ${rule}`);
  }
  if (!['order', 'payment', 'delivery'].includes(query.get('kind') ?? 'order')) {
    return refuse('kind', 'kind: one of order, payment and delivery');
  }
  const limit = Number(query.get('limit') ?? 50);
  if (!(limit >= 1 && limit <= 500)) return refuse('limit', 'limit: from 1 to 500, for example 50');
  if ((query.get('search') ?? '').length > 128) return refuse('search', 'search: at most 128 characters of an id');
  return null;
}

const toCsv = (sales: readonly SaleItem[]): string =>
  [
    'store,kind,device,id,order_id,status,time,amount,currency,corrections',
    ...sales.map((sale) =>
      [
        sale.store,
        sale.kind,
        sale.device,
        sale.id,
        sale.order_id,
        sale.status,
        sale.time,
        sale.amount ?? '',
        sale.currency ?? '',
        sale.corrections,
      ].join(),
    ),
  ].join('\r\n') + '\r\n';
