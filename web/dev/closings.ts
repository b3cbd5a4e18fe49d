/**
 * The closings of the simulated gateway. Each one has late payments of till-4, which was offline, so that tests and
 * screenshots show them. A refund or a payment that arrives for a closed day is counted by the next closing.
 */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import type { CountedTakings, DayClosing, LatePayment, NetAmount, ShopDay } from '../src/lib/api/types';
import { addDays, dayIn } from '../src/lib/day/calendar';
import { addUp } from '../src/lib/order/sums';
import { problem, type Answer } from './answer';
import { answerDay } from './days';
import type { SimulatedGateway } from './gateway';
import { STORE } from './shop';

/** `counted`: the takings of the day that some closing has counted. */
export type ClosedDay = { day: ShopDay; closing: Omit<DayClosing, 'since'>; counted: number };

const LATE_TILL = 'till-4';
/** The key that signs the closings. The last 32 bytes of its DER form are the key itself. */
const PAIR = generateKeyPairSync('ed25519');
const KEY = PAIR.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex');
const sum = (amounts: readonly number[]) => addUp(amounts, 2);
const isDayAnswer = ({ status }: Answer) => status === 200;
const euros = (net: number): NetAmount => ({ currency: 'EUR', net });

/** What has arrived for a closed day, and no closing has counted. */
const uncounted = (gateway: SimulatedGateway, { day, counted }: ClosedDay) =>
  sum([(answerDay(gateway, day.date).body as ShopDay).takings.net, -counted]);

/** The figures of a day: those of its closing if it is closed. */
export function readDay(gateway: SimulatedGateway, name: string): Answer {
  const answer = answerDay(gateway, name);
  if (!isDayAnswer(answer)) return answer;
  const { date, is_today } = answer.body as ShopDay;
  const closed = gateway.closedDays.find(({ day }) => day.date === date);
  if (!closed) return answer;
  const since = uncounted(gateway, closed);
  const closing: DayClosing = { ...closed.closing, since: since === 0 ? [] : [euros(since)] };
  return { status: 200, body: { ...closed.day, is_today, closing } };
}

export function closeDay(gateway: SimulatedGateway, name: string, user: string | null): Answer {
  const answer = answerDay(gateway, name);
  if (!isDayAnswer(answer)) return answer;
  const day = answer.body as ShopDay;
  const { date } = day;
  if (date > dayIn(gateway.timeZone, new Date(gateway.now()))) {
    return problem('day-has-not-begun', `${date} has not begun in the shop`);
  }
  const later = gateway.closedDays.find((closed) => closed.day.date >= date);
  if (later) return problem('day-is-closed', `Closing ${later.closing.number} closed ${later.day.date}.`);
  const previous = gateway.closedDays.at(-1)?.closing;
  const number = (previous?.number ?? 0) + 1;
  const late_payments = inventLatePayments(date, number);
  const takings: CountedTakings[] = [{ date, ...euros(day.takings.net) }, ...countLate(gateway, late_payments)];
  const content: Omit<DayClosing, 'since' | 'hash' | 'signature'> = {
    number,
    date,
    closed_at: gateway.iso(gateway.now()),
    closed_by: user,
    journal: 'j-9f2c41d07b6e4a58',
    upto: gateway.status().journal.last_offset,
    complete: day.complete !== false,
    takings,
    later_takings: [],
    late_payments,
    has_more_late_payments: false,
    numbers: coverNumbers(gateway, previous),
    grand_total: [euros(sum([previous?.grand_total[0]?.net ?? 0, ...takings.map(({ net }) => net)]))],
    previous: previous?.hash ?? '0'.repeat(64),
    chain: createHash('sha256').update(String(number)).digest('hex'),
    key: KEY,
  };
  const hash = createHash('sha256').update(JSON.stringify(content)).digest('hex');
  const signature = sign(null, Buffer.from(hash, 'hex'), PAIR.privateKey).toString('hex');
  gateway.closedDays.push({ day, closing: { ...content, hash, signature }, counted: day.takings.net });
  return { status: 201, body: readDay(gateway, date).body };
}

function inventLatePayments(date: string, closing: number): LatePayment[] {
  return ['18:04', '18:21', '18:37', '18:52', '19:10', '19:26', '19:41'].map((time, i) => {
    const id = `${closing}${i}`.padStart(8, '0').padEnd(32, 'b7c1d09a');
    return {
      ce_id: `${STORE}/${LATE_TILL}/771204913/${1200 + closing * 10 + i}`,
      time: `${addDays(date, i < 2 ? -2 : -1)}T${time}:00Z`,
      payment_id: `p-${id}`,
      order_id: `o-${id}`,
      currency: 'EUR',
      amount: 12.5 + i,
      status: i === 3 ? 'FAILED' : 'SUCCESS',
    };
  });
}

/** The sums of earlier days, the latest day first. */
function countLate(gateway: SimulatedGateway, payments: readonly LatePayment[]): CountedTakings[] {
  const nets = new Map<string, number>();
  const count = (date: string, net: number) => nets.set(date, sum([nets.get(date) ?? 0, net]));
  for (const { time, amount, status } of payments) {
    if (status === 'SUCCESS') count(dayIn(gateway.timeZone, new Date(time)), amount);
  }
  for (const closed of gateway.closedDays) {
    const since = uncounted(gateway, closed);
    if (since === 0) continue;
    closed.counted = sum([closed.counted, since]);
    count(closed.day.date, since);
  }
  return [...nets].map(([date, net]) => ({ date, ...euros(net) })).sort((a, b) => (a.date < b.date ? 1 : -1));
}

function coverNumbers(gateway: SimulatedGateway, previous: Pick<DayClosing, 'numbers'> | undefined) {
  return gateway.gateway().devices.flatMap(({ device, epochs, missing }) =>
    epochs.flatMap(({ epoch, received }) => {
      const before = previous?.numbers.find((covered) => covered.device === device && covered.epoch === epoch);
      const from = (before?.to ?? 0) + 1;
      const to = received + missing.reduce((count, [first, last]) => count + last - first + 1, 0);
      const isCovered = ([first]: [number, number]) => first >= from;
      return to < from ? [] : [{ device, epoch, from, to, missing: missing.filter(isCovered) }];
    }),
  );
}
