/** The simulated gateway's audit log, with a history that fills more than one page. */
import type { ActorKind, AuditAction, AuditEntry, AuditPage } from '../src/lib/api/identity';
import { createRandom, id, pick } from './shop';

const MAX_LIMIT = 200;
const HISTORY_LENGTH = 70;

type NewEntry = {
  actor: string;
  actor_kind: ActorKind;
  address?: string | null;
  action: AuditAction;
  subject?: string | null;
  before?: AuditEntry['before'];
  after?: AuditEntry['after'];
};

export class AuditLog {
  /** Newest first. */
  readonly #entries: AuditEntry[] = [];
  readonly #clock: () => number;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  add({ address = null, subject = null, before = null, after = null, ...entry }: NewEntry, at = this.#clock()): void {
    const time = new Date(at).toISOString();
    const id = String(this.#entries.length + 1);
    this.#entries.unshift({ id, time, ...entry, address, subject, before, after });
  }

  page(limit: number, cursor: string | null): AuditPage {
    const from = cursor === null ? 0 : this.#entries.findIndex((entry) => entry.id === cursor) + 1;
    const entries = this.#entries.slice(from, from + Math.min(limit, MAX_LIMIT));
    const hasMore = from + entries.length < this.#entries.length;
    return { entries, next_cursor: hasMore ? (entries.at(-1)?.id ?? null) : null };
  }

  /** Two weeks of a shop: sign-ins, payments, a new colleague, a guessed password. */
  addHistory(): void {
    const random = createRandom(61);
    const now = this.#clock();
    const at = (i: number) => now - (HISTORY_LENGTH - i) * 4.6 * 3_600_000 - random() * 3_600_000;
    this.add(
      {
        actor: 'Camille',
        actor_kind: 'person',
        address: '192.168.1.20',
        action: 'set-up',
        subject: 'Camille',
        after: { role: 'administrator' },
      },
      at(-1),
    );
    for (let i = 0; i < HISTORY_LENGTH; i += 1) {
      const person = {
        actor: pick(random, ['Camille', 'Margaux', 'Hugo']),
        actor_kind: 'person',
        address: `192.168.1.${20 + Math.floor(random() * 9)}`,
      } as const;
      const kind = i % 7;
      if (kind === 0)
        this.add(
          {
            ...person,
            action: 'signed-in',
            after: { agent: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0' },
          },
          at(i),
        );
      else if (kind === 3)
        this.add(
          {
            ...person,
            action: 'order-posted',
            subject: id(random, 'o'),
            before: { status: 'Pending' },
            after: { status: 'Cancelled' },
          },
          at(i),
        );
      else if (kind === 5 && i > 40)
        this.add(
          {
            actor: '',
            actor_kind: 'anonymous',
            address: '192.168.1.77',
            action: 'sign-in-failed',
            subject: 'Hugo',
            after: { attempts: 4 },
          },
          at(i),
        );
      else
        this.add(
          {
            ...person,
            action: 'payment-posted',
            subject: id(random, 'p'),
            after: {
              order_id: id(random, 'o'),
              amount: Math.round(random() * 9000) / 100,
              currency: 'EUR',
              method: 'Credit Card',
              status: 'SUCCESS',
            },
          },
          at(i),
        );
    }
    const camille = { actor: 'Camille', actor_kind: 'person', address: '192.168.1.20' } as const;
    this.add(
      {
        ...camille,
        action: 'user-changed',
        subject: 'Margaux',
        before: { role: 'cashier' },
        after: { role: 'manager' },
      },
      now - 7_000_000,
    );
    this.add({ ...camille, action: 'token-added', subject: 'compta', after: { role: 'viewer' } }, now - 6_000_000);
    this.add(
      {
        actor: 'compta',
        actor_kind: 'token',
        address: '192.168.1.40',
        action: 'dead-letter-retried',
        subject: '2',
        after: { topic: 'pos/paris-1/till-2/orders' },
      },
      now - 5_000_000,
    );
  }
}
