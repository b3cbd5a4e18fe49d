/** The simulated office's commands. Each is handed over a moment after it was sent. */
import type { CommandDetails, CommandItem, CommandsPage, Receipt } from '../office/lib/types';

export type CommandsAnswer = { status: number; body: object };

/** When a shop hands a command over, in milliseconds after it was sent. */
const HANDED_OVER_AFTER = 2000;
const MINUTE_MS = 60_000;

type Stored = { id: number; created: number; to: string; command: Record<string, unknown>; key: string | null };
type Request = { method: string; url: URL; key: string | null; body: string };

const problem = (status: number, detail: string, field?: string): CommandsAnswer => ({
  status,
  body: { type: 'urn:comptoir:problem:invalid-command', status, detail, ...(field === undefined ? {} : { field }) },
});

export class SimulatedCommands {
  #stored: Stored[] = [];
  readonly #stores: readonly string[];
  readonly #now: () => number;

  /** `count` commands were sent before. */
  constructor(stores: readonly string[], count: number, now: () => number) {
    this.#stores = stores;
    this.#now = now;
    for (let i = 0; i < count; i += 1) {
      const isPrices = i % 3 === 1;
      this.#stored.push({
        id: i + 1,
        created: now() - (count - i) * 40 * MINUTE_MS,
        to: ['*', stores[0] ?? '*', `${stores[1] ?? 'paris-1'}/till-1`][i % 3] ?? '*',
        command: isPrices
          ? { type: 'price_list', currency: 'EUR', prices: [{ product: 'Pain', unit_price: 1.05 }] }
          : { type: 'message', text: `Fermeture à ${17 + (i % 3)} h` },
        key: null,
      });
    }
  }

  answer({ method, url, key, body }: Request): CommandsAnswer {
    if (url.pathname === '/api/commands/targets') return { status: 200, body: { tills: ['till-1', 'till-2'] } };
    if (method === 'POST') return this.#send(key, body);
    if (url.pathname === '/api/commands')
      return { status: 200, body: this.#page(Number(url.searchParams.get('limit'))) };
    const found = this.#stored.find(({ id }) => url.pathname === `/api/commands/${id}`);
    return found ? { status: 200, body: this.#details(found) } : problem(404, 'There is no such command.');
  }

  #send(key: string | null, body: string): CommandsAnswer {
    const { to, command } = JSON.parse(body) as { to: string; command: Record<string, unknown> };
    if (command['text'] === 'refused') return problem(422, 'empty; write at least one character', 'command.text');
    let stored = this.#stored.find((other) => key !== null && other.key === key);
    if (!stored) {
      stored = { id: this.#stored.length + 1, created: this.#now(), to, command, key };
      this.#stored.push(stored);
    }
    return { status: 201, body: this.#details(stored) };
  }

  #page(limit: number): CommandsPage {
    const newest = [...this.#stored].reverse();
    const items = newest.slice(0, limit).map((stored) => this.#item(stored));
    const last = items.at(-1);
    return { items, ...(newest.length > limit && last ? { next: last.id } : {}) };
  }

  #summary({ id, created, to, command }: Stored) {
    const { type, text, prices, currency } = command;
    return {
      id,
      author: 'local',
      created: new Date(created).toISOString(),
      to,
      kind: String(type),
      ...(type === 'message' ? { text: String(text) } : {}),
      ...(type === 'price_list' ? { prices: (prices as unknown[]).length, currency: String(currency) } : {}),
    };
  }

  #receipts({ created, to }: Stored): Receipt[] {
    const stores = to === '*' ? this.#stores : [to.split('/')[0] ?? ''];
    const at = (ms: number) => new Date(created + ms).toISOString();
    const isHandedOver = this.#now() - created >= HANDED_OVER_AFTER;
    return stores.map((store, i) => {
      // To all shops, some are different.
      if (to === '*' && i === 3) return { store, state: 'waiting' };
      if (to === '*' && i === 5) return { store, state: 'unknown', in_kafka: at(300) };
      if (to === '*' && i === 7) return { store, state: 'missed', in_kafka: at(300) };
      return isHandedOver
        ? { store, state: 'handed-over', in_kafka: at(300), handed_over: at(HANDED_OVER_AFTER) }
        : { store, state: 'in-kafka', in_kafka: at(300) };
    });
  }

  #item(stored: Stored): CommandItem {
    const receipts = this.#receipts(stored);
    const count = (state: string) => receipts.filter((receipt) => receipt.state === state).length;
    return {
      ...this.#summary(stored),
      receipts: {
        shops: receipts.length,
        waiting: count('waiting'),
        in_kafka: count('in-kafka'),
        handed_over: count('handed-over'),
        missed: count('missed'),
        unknown: count('unknown'),
      },
    };
  }

  #details(stored: Stored): CommandDetails {
    return { ...this.#summary(stored), command: stored.command, receipts: this.#receipts(stored) };
  }
}
