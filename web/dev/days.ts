/**
 * The figures of a day. Today's are those of the simulated shop's own orders and payments. An earlier day has its own, made
 * up from its date, so that each request gets the same; the shop is closed on Sundays.
 */
import type { Order, Payment, ShopDay } from '../src/lib/api/types';
import { addDays, dayIn, isDay } from '../src/lib/day/calendar';
import { addUp, lineAmount, vatOf } from '../src/lib/order/sums';
import { problem, type Answer } from './answer';
import type { SimulatedGateway } from './gateway';
import { BUSY, createRandom, lines, method, pick, STORE, totalOf } from './shop';
import { TILLS } from './tills';
import { HOUR_MS } from './totals';

const DECIMALS = 2;
const MAX_PRODUCTS = 200;
/** Events are kept for this many days. */
const KEPT_DAYS = 60;

type Sales = { orders: readonly Order[]; payments: readonly Payment[] };

/** When a day begins. The offset of every time zone is a multiple of a quarter of an hour. */
function startOf(day: string, zone: string): number {
  let at = Date.parse(`${day}T00:00:00Z`) - 15 * HOUR_MS;
  while (dayIn(zone, new Date(at)) < day) at += HOUR_MS / 4;
  return at;
}

export function answerDay(gateway: SimulatedGateway, name: string): Answer {
  const zone = gateway.timeZone;
  const today = dayIn(zone, new Date(gateway.now()));
  const date = name === 'today' ? today : name;
  if (!isDay(date)) return problem('invalid-parameter', `date: "${name}" is not a day, write YYYY-MM-DD`, 'date');
  const [from, to] = [startOf(date, zone), startOf(addDays(date, 1), zone)];
  const isKept = date >= addDays(today, -KEPT_DAYS);
  const hasSales = gateway.orders.length > 0 && isKept && date < today && new Date(`${date}T12:00Z`).getUTCDay() !== 0;
  const sales = hasSales ? inventDay(date, from) : gateway;
  const day = summarise(sales, { date, zone, from, to });
  return { status: 200, body: { ...day, is_today: date === today, ...(isKept ? {} : { complete: false }) } };
}

function inventDay(date: string, from: number): Sales {
  const random = createRandom(Number(date.replaceAll('-', '')));
  const orders: Order[] = [];
  const payments: Payment[] = [];
  BUSY.forEach((count, hour) => {
    for (let i = 0; i < Math.round(count * (0.7 + random() * 0.5)); i += 1) {
      const device = pick(random, TILLS);
      const basket = lines(random);
      const at = from + (hour + random()) * HOUR_MS;
      const order_id = `o-${date}-${orders.length}`;
      const isPaid = random() < 0.94;
      const common = { currency: 'EUR', timestamp: new Date(at).toISOString(), store: STORE, device };
      const where = { ce_id: '', origin: 'local', confirmed: true } as const;
      const amount = totalOf(basket);
      const status = isPaid ? 'Completed' : 'Cancelled';
      orders.push({ order_id, customer_name: '', product: '', lines: basket, amount, status, ...common, ...where });
      const payment: Payment = {
        payment_id: `p-${order_id}`,
        order_id,
        amount,
        method: method(random),
        status: isPaid ? 'SUCCESS' : 'FAILED',
        ...common,
        ...where,
      };
      payments.push(payment);
      if (!isPaid || random() > 0.03) continue;
      const back = -Math.round(amount * 50) / 100;
      payments.push({ ...payment, payment_id: `r-${order_id}`, refund_of: payment.payment_id, amount: back });
    }
  });
  return { orders, payments };
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): [string, T[]][] {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return [...groups];
}

const sum = (amounts: readonly number[]) => addUp(amounts, DECIMALS);

function takingsOf(all: readonly Payment[]) {
  const payments = succeeded(all);
  const failed = all.length - payments.length;
  const paid = payments.filter(({ refund_of }) => refund_of === undefined);
  const refunds = payments.filter(({ refund_of }) => refund_of !== undefined);
  const gross = sum(paid.map(({ amount }) => amount));
  const refunded = Math.abs(sum(refunds.map(({ amount }) => amount)));
  return { payments: paid.length, gross, refunds: refunds.length, refunded, net: sum([gross, -refunded]), failed };
}

const succeeded = (payments: readonly Payment[]) => payments.filter(({ status }) => status === 'SUCCESS');

type Bounds = { date: string; zone: string; from: number; to: number };

function summarise(sales: Sales, { date, zone, from, to }: Bounds): Omit<ShopDay, 'is_today'> {
  const isIn = ({ timestamp }: { timestamp: string }) => Date.parse(timestamp) >= from && Date.parse(timestamp) < to;
  const payments = sales.payments.filter(isIn);
  const euros = payments.filter(({ currency }) => currency === 'EUR');
  const others = payments.filter(({ status, currency }) => status === 'SUCCESS' && currency !== 'EUR');
  const orders = sales.orders.filter(isIn);
  const sold = orders.filter(({ status }) => status !== 'Cancelled');
  const cancelled = orders.filter(({ status }) => status === 'Cancelled');
  const allLines = sold.flatMap((order) => order.lines);
  const untaxed = allLines.filter(({ vat_rate }) => vat_rate === undefined);
  const products = groupBy(allLines, ({ product, unit }) => `${unit ?? ''}\n${product}`)
    .map(([, group]) => ({
      product: group[0]?.product ?? '',
      ...(group[0]?.unit === undefined ? {} : { unit: group[0].unit }),
      quantity: Math.round(group.reduce((total, { quantity }) => total + quantity * 1000, 0)) / 1000,
      amount: sum(group.map((line) => lineAmount(line, DECIMALS))),
    }))
    .sort((a, b) => b.amount - a.amount);
  const rest = products.slice(MAX_PRODUCTS);
  const byNet = <T extends { net: number }>(a: T, b: T) => b.net - a.net;
  return {
    date,
    time_zone: zone,
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    currency: 'EUR',
    takings: takingsOf(euros),
    orders: {
      orders: sold.length,
      amount: sum(sold.map(({ amount }) => amount)),
      cancelled: cancelled.length,
      cancelled_amount: sum(cancelled.map(({ amount }) => amount)),
    },
    by_method: groupBy(euros, (payment) => payment.method)
      .map(([name, group]) => ({ method: name as Payment['method'], ...takingsOf(group) }))
      .sort(byNet),
    by_till: groupBy(euros, (payment) => payment.device)
      .map(([device, group]) => ({ device, ...takingsOf(group) }))
      .sort(byNet),
    by_vat_rate: [
      ...vatOf(allLines, DECIMALS).map(({ rate, amount, vat }) => ({ vat_rate: rate, amount, vat })),
      ...(untaxed.length === 0
        ? []
        : [{ vat_rate: null, amount: sum(untaxed.map((line) => lineAmount(line, DECIMALS))), vat: null }]),
    ],
    by_product: products.slice(0, MAX_PRODUCTS),
    other_products: { products: rest.length, amount: sum(rest.map(({ amount }) => amount)) },
    by_hour: groupBy(succeeded(euros), ({ timestamp }) => String(Math.floor(Date.parse(timestamp) / HOUR_MS)))
      .map(([hour, group]) => {
        const { payments: count, net } = takingsOf(group);
        return { hour: new Date(Number(hour) * HOUR_MS).toISOString(), payments: count, net };
      })
      .sort((a, b) => (a.hour < b.hour ? -1 : 1)),
    other_currencies: groupBy(others, (payment) => payment.currency).map(([currency, group]) => ({
      currency,
      net: takingsOf(group).net,
    })),
  };
}
