/** A Kafka that can be taken down, and the events that wait for it. */
import type { Confirmed, Kind, Link, Partition } from '../src/lib/api/types';
import type { Item } from '../src/lib/live/reducer';
import type { Random } from './shop';

type PendingEvent = { kind: Kind; item: Item };

/** The delay between storing an event and its arrival in Kafka. */
const DELAY_MS = 350;
/** Per tick of 100 ms: a backlog is sent at 10,000 events a second. */
const MAX_PER_TICK = 1000;
/** Above this many pending events, the oldest are sent without the delay. */
const BUSY_LENGTH = 20;

export class SimulatedKafka {
  link: Link;
  watermark: number;
  readonly #positions = new Map<string, number>();
  readonly #unsent: PendingEvent[] = [];

  constructor({ since, watermark, random }: { since: string; watermark: number; random: Random | null }) {
    this.link = { state: 'up', since };
    this.watermark = watermark;
    for (const topic of ['orders', 'payments', 'deliveries']) {
      for (let p = 0; p < 3; p += 1) {
        this.#positions.set(`${topic} ${p}`, random ? 4000 + Math.floor(random() * 3000) : 0);
      }
    }
  }

  get isUp(): boolean {
    return this.link.state === 'up';
  }

  get pending(): readonly PendingEvent[] {
    return this.#unsent;
  }

  set(up: boolean, since: string): void {
    this.link = { state: up ? 'up' : 'down', since, ...(up ? {} : { problem: 'no Kafka broker answers' }) };
  }

  queue(kind: Kind, item: Item): void {
    this.#unsent.push({ kind, item });
  }

  /** Sends the events that are due, in order. Returns the confirmed events. */
  send(now: number): (Confirmed & { device: string })[] {
    const sent: (Confirmed & { device: string })[] = [];
    while (this.isUp && sent.length < MAX_PER_TICK) {
      const [first] = this.#unsent;
      const isDue = first && (now - Date.parse(first.item.timestamp) > DELAY_MS || this.#unsent.length > BUSY_LENGTH);
      if (!isDue) break;
      this.#unsent.shift();
      sent.push(this.#confirm(first));
    }
    return sent;
  }

  partitions(): Partition[] {
    return [...this.#positions].map(([key, end]) => ({
      topic: key.split(' ')[0] ?? '',
      partition: Number(key.split(' ')[1]),
      position: end,
      end,
      lag: 0,
    }));
  }

  #confirm({ kind, item }: PendingEvent): Confirmed & { device: string } {
    const topic = `${kind === 'delivery' ? 'deliverie' : kind}s`;
    const partition = [...item.order_id].reduce((sum, c) => sum + c.charCodeAt(0), 0) % 3;
    const at = `${topic} ${partition}`;
    const offset = this.#positions.get(at) ?? 0;
    this.#positions.set(at, offset + 1);
    Object.assign(item, { confirmed: true, partition, offset });
    this.watermark = Math.max(this.watermark, item.journal_offset ?? 0);
    return { kind, ce_id: item.ce_id, order_id: item.order_id, partition, offset, device: item.device };
  }
}
