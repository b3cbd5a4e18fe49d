/** The users, sessions and tokens of the simulated gateway and the simulated office. Passwords are in plaintext, because none of them is real. */
import { randomUUID } from 'node:crypto';
import type { Grant } from '../src/lib/grant';
import {
  ROLES,
  type ActiveSession,
  type CreatedToken,
  type Role,
  type CurrentUser,
  type Token,
  type User,
  type UserKind,
} from '../src/lib/api/identity';

type Account = Grant & { name: string; password: string; created_at: string; last_sign_in_at: string | null };
export type StoredSession = Omit<ActiveSession, 'is_current'> & { secret: string };
type StoredToken = CreatedToken & Token;
export type Person = Grant & { name: string; password: string };

/** One person of each role. The browser tests sign in with these. */
export const STAFF: readonly Person[] = [
  { name: 'Camille', role: 'administrator', password: 'tiroir-caisse-bleu' },
  { name: 'Margaux', role: 'manager', password: 'comptoir-en-zinc' },
  { name: 'Hugo', role: 'cashier', password: 'ticket-de-midi' },
  { name: 'Inès', role: 'viewer', password: 'vitrine-du-matin' },
];

function without<T extends object, K extends keyof T>(value: T, key: K): Omit<T, K> {
  const copy = { ...value };
  Reflect.deleteProperty(copy, key);
  return copy;
}

export class Accounts {
  readonly #users = new Map<string, Account>();
  readonly #sessions = new Map<string, StoredSession>();
  readonly #tokens = new Map<string, StoredToken>();
  readonly #clock: () => number;
  readonly #closeConnections: (id: string) => void;

  constructor(clock: () => number, closeConnections: (id: string) => void) {
    this.#clock = clock;
    this.#closeConnections = closeConnections;
  }

  get isEmpty(): boolean {
    return this.#users.size === 0;
  }

  find(name: string): Account | undefined {
    return this.#users.get(name.toLowerCase());
  }

  users(): User[] {
    return [...this.#users.values()].map((account) => {
      const user = without(account, 'password');
      const sessions = [...this.#sessions.values()].filter((s) => s.kind === 'person' && s.user === user.name).length;
      return { ...user, sessions };
    });
  }

  user(name: string): User | undefined {
    return this.users().find((user) => user.name === name);
  }

  add(person: Person): void {
    this.#users.set(person.name.toLowerCase(), { ...person, created_at: this.#now(), last_sign_in_at: null });
  }

  /**
   * A new password ends the user's sessions, except the session with the id `kept`. A new role applies to them at once
   * and closes their live connections, which may have shown more than the new role may see.
   */
  change(account: Account, { password, ...grant }: Partial<Grant> & { password?: string }, kept: string | null): void {
    Object.assign(account, grant);
    if (password) account.password = password;
    for (const session of this.#sessions.values()) {
      if (session.kind !== 'person' || session.user !== account.name) continue;
      session.role = account.role;
      if (account.shops !== undefined) session.shops = account.shops;
      if (password && session.id !== kept) this.end(session.id);
      else this.#closeConnections(session.id);
    }
  }

  remove(account: Account): void {
    this.#users.delete(account.name.toLowerCase());
    this.endAllOf(account.name);
  }

  isLastAdministrator({ name }: Account): boolean {
    return [...this.#users.values()].every((user) => user.role !== 'administrator' || user.name === name);
  }

  open(user: CurrentUser, address: string, agent: string): StoredSession {
    const now = this.#now();
    const account = user.kind === 'person' ? this.find(user.name) : undefined;
    if (account) account.last_sign_in_at = now;
    const session: StoredSession = {
      id: randomUUID(),
      secret: randomUUID(),
      user: user.name,
      role: user.role,
      ...(account?.shops === undefined ? {} : { shops: account.shops }),
      kind: user.kind,
      created_at: now,
      last_seen_at: now,
      address,
      agent,
    };
    this.#sessions.set(session.id, session);
    return session;
  }

  /** Finds the session by its cookie, and updates when it was last seen. */
  session(secret: string | undefined): StoredSession | null {
    const session = [...this.#sessions.values()].find((known) => known.secret === secret);
    if (session) session.last_seen_at = this.#now();
    return session ?? null;
  }

  sessions(viewer: StoredSession): ActiveSession[] {
    return [...this.#sessions.values()]
      .filter((s) => viewer.role === 'administrator' || (s.user === viewer.user && s.kind === viewer.kind))
      .map(({ secret, ...session }) => ({ ...session, is_current: secret === viewer.secret }))
      .reverse();
  }

  end(id: string): void {
    this.#sessions.delete(id);
    this.#closeConnections(id);
  }

  endAllOf(name: string): void {
    for (const { id, user } of this.#sessions.values()) if (user === name) this.end(id);
  }

  /** The next numbered name, such as `screen-2`, for a session without a user name. */
  nextName(kind: UserKind): string {
    const count = [...this.#sessions.values()].filter((session) => session.kind === kind).length;
    return `${kind}-${count + 1}`;
  }

  tokens(): Token[] {
    return [...this.#tokens.values()].map((token) => without(token, 'token'));
  }

  addToken(name: string, grant: Grant): CreatedToken {
    const now = this.#now();
    const token = {
      id: randomUUID(),
      name,
      ...grant,
      created_at: now,
      last_used_at: now,
      token: `comptoir_${randomUUID().replaceAll('-', '')}`,
    };
    this.#tokens.set(token.id, token);
    return token;
  }

  removeToken(id: string): Token | null {
    const token = this.#tokens.get(id) ?? null;
    this.#tokens.delete(id);
    return token;
  }

  #now(): string {
    return new Date(this.#clock()).toISOString();
  }
}

export const isRole = (value: unknown): value is Role => ROLES.includes(value as Role);
