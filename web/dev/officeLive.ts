/** The live connection of the simulated office: events happen when a test says so, and its database reads them later. */
import type { Server } from 'node:http';
import { Server as SocketServer } from 'socket.io';
import type { SaleItem } from '../office/lib/types';

/** An event of a sale: a new one, or a change of one. */
export type SoldItem = {
  store: string;
  kind: 'order' | 'payment';
  id: string;
  /** The number of the event at its till. */
  number: number;
  status?: string;
  device?: string;
  /** What the database makes of it instead, because only the sale's own till may change it. `null`: nothing. */
  stored?: { status: string; corrections: number } | null;
};

type Happened = SoldItem & { offset: number; time: string };

const ALL = 'all shops';

export class LiveOffice {
  readonly #sockets: SocketServer;
  readonly #clock: () => number;
  #events: Happened[] = [];
  /** How many events the database has read. */
  #readCount = 0;

  constructor(http: Server, isReachable: () => boolean, clock: () => number) {
    this.#clock = clock;
    this.#sockets = new SocketServer(http, {
      destroyUpgrade: false,
      transports: ['websocket'],
      allowRequest: (_, decide) => decide(null, isReachable()),
    });
    this.#sockets.on('connection', (socket) => {
      const { store } = socket.handshake.auth as { store?: string };
      void socket.join(store ?? ALL);
      socket.emit('reload', { restart: false, sent: this.#positions(this.#events.length) });
    });
  }

  reset(): void {
    this.#events = [];
    this.#readCount = 0;
  }

  happen(items: readonly SoldItem[], isBehind: boolean): void {
    for (const item of items) {
      const time = new Date(this.#clock()).toISOString();
      const event = { ...item, offset: this.#events.length, time };
      this.#events.push(event);
      this.#sockets.to([ALL, item.store]).emit(`new_${item.kind}`, toMessage(event));
    }
    if (!isBehind) this.#readCount = this.#events.length;
  }

  disconnectAll(): void {
    this.#sockets.disconnectSockets(true);
  }

  read(): Record<string, Record<number, number>> {
    return this.#positions(this.#readCount);
  }

  /** The sales, newest first, with those that the database has read. */
  addTo(sales: readonly SaleItem[]): SaleItem[] {
    const all = new Map(sales.map((sale) => [sale.id, sale]));
    for (const event of this.#events.slice(0, this.#readCount)) {
      const before = all.get(event.id);
      if (event.stored === null) continue;
      if (before && event.stored) all.set(event.id, { ...before, ...event.stored });
      else all.set(event.id, toSale(event));
    }
    return [...all.values()].sort((a, b) => Date.parse(b.time) - Date.parse(a.time) || (a.id < b.id ? 1 : -1));
  }

  /** All events are in one partition of each topic. */
  #positions(count: number): Record<string, Record<number, number>> {
    return count === 0 ? {} : { order: { 0: count }, payment: { 0: count } };
  }
}

const AMOUNT = { amount: 12.5, currency: 'EUR' };

function toSale({ store, kind, id, number, status = 'Pending', device = 'till-1', time }: Happened): SaleItem {
  const order_id = kind === 'order' ? id : `${id}-order`;
  const common = { store, device, order_id, status, ...AMOUNT };
  const value = kind === 'order' ? { ...common, product: 'Pain', lines: [] } : { ...common, method: 'Cash' };
  return { ...common, kind, id, time, corrections: 0, epoch: 7, number, value };
}

function toMessage(event: Happened): object {
  const { id, kind, store, device, number, time, value } = toSale(event);
  return {
    ...(value as object),
    [`${kind}_id`]: id,
    timestamp: time,
    ce_id: `${store}/${device}/7/${number}`,
    partition: 0,
    offset: event.offset,
    appended: time,
  };
}
