/** Sign-in, roles, set-up and paired screens of the simulated gateway. */
import { randomInt, randomUUID } from 'node:crypto';
import { ROLES, type Role, type Session } from '../src/lib/api/identity';
import { Accounts, STAFF, type Person, type StoredSession } from './accounts';
import { AuditLog } from './audit';

/**
 * `open`: nobody signs in, as in the demo. `blank`: fresh from the box, without an administrator. `staff`: one person of
 * each role.
 */
export type IdentityMode = 'open' | 'blank' | 'staff';

export const SETUP_CODE = '7K4M-2QXH';
const MAX_ATTEMPTS = 5;
/** Short, so that a test can wait for it. */
export const THROTTLE_SECONDS = 4;
/** Without characters that look alike. */
const CODE_ALPHABET = '23456789ABCDEFGHJKLMNPQRSTUVWXYZ';
const PAIRING_MS = 10 * 60_000;

type StoredPairing = { id: string; code: string; secret: string; expiresAt: number; isApproved: boolean };

export class Identity {
  readonly mode: IdentityMode;
  readonly accounts: Accounts;
  readonly audit: AuditLog;
  isPlain = false;
  readonly #clock: () => number;
  readonly #failures = new Map<string, { count: number; until: number }>();
  readonly #pairings = new Map<string, StoredPairing>();

  constructor(
    mode: IdentityMode,
    clock: () => number,
    closeConnections: (id: string) => void,
    staff: readonly Person[] = STAFF,
  ) {
    this.mode = mode;
    this.#clock = clock;
    this.accounts = new Accounts(clock, closeConnections);
    this.audit = new AuditLog(clock);
    if (mode !== 'staff') return;
    for (const person of staff) this.accounts.add(person);
    if (staff !== STAFF) return;
    this.accounts.addToken('compta', { role: 'viewer' });
    this.audit.addHistory();
  }

  get isOpen(): boolean {
    return this.mode === 'open';
  }

  get isSetupRequired(): boolean {
    return !this.isOpen && this.accounts.isEmpty;
  }

  describe(session: StoredSession | null): Session {
    return {
      setup_required: this.isSetupRequired,
      open: this.isOpen,
      user: session && { name: session.user, role: session.role, kind: session.kind },
      plain: this.isPlain,
    };
  }

  allows(session: StoredSession | null, role: Role): boolean {
    return this.isOpen || (session !== null && ROLES.indexOf(session.role) >= ROLES.indexOf(role));
  }

  /** Whether the session's role may see e-mail addresses and postal addresses. */
  seesPersonalData(session: StoredSession | null): boolean {
    return this.allows(session, 'manager');
  }

  isThrottled(key: string): boolean {
    return (this.#failures.get(key)?.until ?? 0) > Date.now();
  }

  countFailure(key: string): void {
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    const isTooMany = count >= MAX_ATTEMPTS;
    this.#failures.set(key, {
      count: isTooMany ? 0 : count,
      until: isTooMany ? Date.now() + THROTTLE_SECONDS * 1000 : 0,
    });
  }

  forgetFailures(key: string): void {
    this.#failures.delete(key);
  }

  startPairing(): StoredPairing {
    const character = () => CODE_ALPHABET[randomInt(CODE_ALPHABET.length)] ?? '';
    const half = () => character() + character() + character();
    const pairing = {
      id: randomUUID(),
      code: `${half()}-${half()}`,
      secret: randomUUID(),
      expiresAt: this.#clock() + PAIRING_MS,
      isApproved: false,
    };
    this.#pairings.set(pairing.id, pairing);
    return pairing;
  }

  /** Returns whether a screen shows this code. */
  approvePairing(code: string): boolean {
    const pairing = [...this.#pairings.values()].find((known) => known.code === code && !known.isApproved);
    if (!pairing) return false;
    pairing.isApproved = true;
    return true;
  }

  expirePairings(): void {
    this.#pairings.clear();
  }

  pollPairing(id: string, secret: string | null): 'waiting' | 'approved' | 'expired' {
    const pairing = this.#pairings.get(id);
    if (!pairing || pairing.secret !== secret || pairing.expiresAt < this.#clock()) return 'expired';
    if (!pairing.isApproved) return 'waiting';
    this.#pairings.delete(id);
    return 'approved';
  }
}
