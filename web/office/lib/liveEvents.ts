/** The messages of the live connection, and what they say about sales. */
import { isKind } from './salesFilter';
import type { SaleItem } from './types';

/** By kind and partition, an offset in Kafka: everything before it is known. */
export type Positions = Partial<Record<string, Partial<Record<string, number>>>>;

export type Reload = {
  /** A topic was recreated: earlier offsets mean nothing. */
  restart: boolean;
  /** From these offsets on, every event arrives. */
  sent: Positions;
};

/** A new or changed sale, in the state that its device gave it. */
export type LiveEvent = {
  /** `device`, `epoch` and `number` are those of the event's device, which may not have created the sale. */
  sale: SaleItem;
  partition: number;
  offset: number;
  /** When Kafka had it. */
  appended: string;
};

const PREFIX = 'new_';
/** The place of the event. The rest is what the shop wrote. */
const PLACE = ['ce_id', 'partition', 'offset', 'appended'];

/** `null` if the message is not an event that this version knows. */
export function parseEvent(message: string, data: unknown): LiveEvent | null {
  const kind = message.startsWith(PREFIX) ? message.slice(PREFIX.length) : '';
  if (!isKind(kind) || typeof data !== 'object' || data === null) return null;
  const fields = data as Partial<Record<string, unknown>>;
  const text = (name: string) => (typeof fields[name] === 'string' ? fields[name] : '');
  const [store = '', device = '', epoch, number] = text('ce_id').split('/');
  const [id, order_id, time, status] = [text(`${kind}_id`), text('order_id'), text('timestamp'), text('status')];
  const { partition, offset, amount } = fields;
  if ([store, device, id, order_id, status].includes('') || Number.isNaN(Date.parse(time))) return null;
  if (typeof partition !== 'number' || typeof offset !== 'number') return null;
  const hasAmount = kind !== 'delivery' && typeof amount === 'number';
  return {
    sale: {
      store,
      kind,
      device,
      id,
      order_id,
      status,
      time,
      ...(hasAmount ? { amount, currency: text('currency') } : {}),
      corrections: 0,
      epoch: Number(epoch),
      number: Number(number),
      value: Object.fromEntries(Object.entries(fields).filter(([name]) => !PLACE.includes(name))),
    },
    partition,
    offset,
    appended: text('appended'),
  };
}

/** Whether the list contains the event. */
export const isRead = (read: Positions, { sale, partition, offset }: LiveEvent): boolean =>
  (read[sale.kind]?.[partition] ?? 0) > offset;

/** Whether a list that was read until `read` has everything before `sent`. */
export function covers(read: Positions, sent: Positions): boolean {
  return Object.entries(sent).every(([kind, partitions]) =>
    Object.entries(partitions ?? {}).every(([partition, next]) => (read[kind]?.[partition] ?? 0) >= (next ?? 0)),
  );
}

/** The positions after the event. */
export function advance(sent: Positions, { sale, partition, offset }: LiveEvent): Positions {
  return { ...sent, [sale.kind]: { ...sent[sale.kind], [partition]: offset + 1 } };
}
