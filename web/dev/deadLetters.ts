/** The messages that the simulated shop's gateway could not decode. */
import type { DeadLetter } from '../src/lib/api/types';

/** Newest first. The reasons are the real gateway's. */
export function createDeadLetters(now: number): DeadLetter[] {
  const create = (
    offset: number,
    minutesAgo: number,
    ce_id: string,
    topic: string,
    cause: Pick<DeadLetter, 'cause' | 'field' | 'reason'>,
    payload: Buffer,
  ): DeadLetter => ({
    offset,
    ce_id,
    topic,
    ...cause,
    received: new Date(now - minutesAgo * 60_000).toISOString(),
    retried: null,
    bytes: payload.length,
    payload: payload.toString('base64'),
  });
  return [
    create(
      3,
      18,
      'paris-1/till-4/0/181',
      'pos/paris-1/till-4/payments',
      { cause: 'invalid_field', field: 'amount', reason: 'amount: expected a decimal number, found "douze"' },
      Buffer.from('{"payment_id":"p-77","order_id":"o-19","amount":"douze","method":"Cash","status":"SUCCESS"}'),
    ),
    create(
      2,
      64,
      'paris-1/till-2/0/96',
      'pos/paris-1/till-2/orders',
      { cause: 'unknown_version', reason: 'format version 9 is not known' },
      Buffer.from([
        9, 0xe2, 0x82, 0xac, 0, 1, 0x7f, 0x43, 0x6f, 0x6d, 0x70, 0x74, 0x6f, 0x69, 0x72, 0xff, 0xfe, 0x10, 0x22, 0x5c,
      ]),
    ),
    create(
      1,
      1510,
      'paris-1/till-9/0/3',
      'pos/paris-1/till-9/deliveries',
      { cause: 'not_json', reason: 'body: the JSON ends in the middle of a string' },
      Buffer.from('{"delivery_id":"d-12","order_id":"o-4","address":"12 rue des Lil'),
    ),
  ];
}
