import { expect, it } from 'vitest';
import type { ShopDay } from '../src/lib/api/types';
import { addUp } from '../src/lib/order/sums';
import { closeDay, readDay } from './closings';
import { answerDay } from './days';
import { SimulatedGateway } from './gateway';

const clock = () => Date.parse('2026-03-16T15:40:00Z');
const gateway = new SimulatedGateway({ seed: 1, clock, hasHistory: true });
const read = (name: string) => answerDay(gateway, name).body as ShopDay;

it('each breakdown of a day has the sum of the whole', () => {
  for (const name of ['today', '2026-03-14']) {
    const day = read(name);
    const net = (rows: readonly { net: number }[]) =>
      addUp(
        rows.map((row) => row.net),
        2,
      );
    expect(day.takings.payments, name).toBeGreaterThan(0);
    expect(net(day.by_method)).toBe(day.takings.net);
    expect(net(day.by_till)).toBe(day.takings.net);
    expect(net(day.by_hour)).toBe(day.takings.net);
    expect(addUp([day.takings.gross, -day.takings.refunded], 2)).toBe(day.takings.net);
  }
});

it('a day has 23, 24 or 25 hours in the shop’s time zone', () => {
  const hours = ({ from, to }: ShopDay) => (Date.parse(to) - Date.parse(from)) / 3_600_000;
  expect(read('2026-03-16').from).toBe('2026-03-15T23:00:00.000Z');
  expect(['2026-03-16', '2026-03-29', '2025-10-26'].map((name) => hours(read(name)))).toEqual([24, 23, 25]);
});

it('a day is today, long ago, closed, or none', () => {
  expect(read('today')).toEqual(read('2026-03-16'));
  expect(read('2026-03-15').takings.payments).toBe(0);
  expect(read('2025-03-17').complete).toBe(false);
  expect(answerDay(gateway, '2026-02-30').status).toBe(422);
});

it('a closing counts each sale once, and keeps the figures of its day', () => {
  const shop = new SimulatedGateway({ seed: 1, clock, hasHistory: true });
  const before = readDay(shop, 'today').body as ShopDay;
  expect(closeDay(shop, '2026-03-14', 'Margaux').status).toBe(201);
  const first = (closeDay(shop, before.date, null).body as ShopDay).closing;
  expect([first?.number, first?.takings[0]?.net, first?.since]).toEqual([2, before.takings.net, []]);
  shop.createPayment({ amount: 7, status: 'SUCCESS' });
  const after = readDay(shop, 'today').body as ShopDay;
  expect(after.takings).toEqual(before.takings);
  expect(after.closing?.since).toEqual([{ currency: 'EUR', net: 7 }]);
  expect(first?.previous).toBe((readDay(shop, '2026-03-14').body as ShopDay).closing?.hash);
  expect(closeDay(shop, '2026-03-15', null).body).toMatchObject({ type: 'urn:comptoir:problem:day-is-closed' });
  expect(closeDay(shop, '2026-03-17', null).status).toBe(409);
});
