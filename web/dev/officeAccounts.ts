/** The users, sessions and tokens of the simulated office. */
import type { IncomingMessage } from 'node:http';
import type { Session } from '../office/lib/types';
import { ROLES, type Role } from '../src/lib/api/identity';
import type { Person } from './accounts';
import { problem, type Answer, type Body } from './answer';
import { Identity } from './identity';
import { answerIdentity, findCaller, findSession, type Caller } from './identityApi';

/** The browser tests sign in with these. */
export const OFFICE_STAFF = [
  { name: 'Aurore', role: 'administrator', shops: null, password: 'clef-du-siège' },
  { name: 'Camille', role: 'manager', shops: ['paris-1', 'lyon-2'], password: 'four words' },
  { name: 'Inès', role: 'viewer', shops: null, password: 'vitrine-du-matin' },
] as const satisfies readonly Person[];

/** The role that an operation requires. Operations that are not listed require a viewer. */
const NEEDED_ROLES: [RegExp, Role][] = [
  [/^\/api\/(users|tokens|audit)/, 'administrator'],
  [/^\/api\/commands/, 'manager'],
];

export class OfficeAccounts {
  readonly #identity: Identity;

  constructor(hasAccounts: boolean, clock: () => number) {
    const staff = OFFICE_STAFF.map((person) => ({ ...person, shops: person.shops && [...person.shops] }));
    this.#identity = new Identity(hasAccounts ? 'staff' : 'open', clock, () => undefined, staff);
    if (!hasAccounts) return;
    const { accounts, audit } = this.#identity;
    accounts.addToken('compta', { role: 'viewer', shops: ['lyon-2'] });
    const system = { actor: 'command line', actor_kind: 'system' } as const;
    for (const { name, role, shops } of staff) {
      audit.add({ ...system, action: 'user-added', subject: name, after: { role, shops } }, clock() - 9_000_000);
    }
    for (let i = 0; i < 60; i += 1) {
      const refused = { actor: '', actor_kind: 'anonymous', address: '203.0.113.5' } as const;
      const after = { result: 'wrong' };
      audit.add({ ...refused, action: 'sign-in-failed', subject: 'admin', after }, clock() - 8_000_000 + i * 20_000);
    }
  }

  findCaller(request: IncomingMessage): Caller {
    return findCaller(this.#identity, request);
  }

  /** The shops that the caller may see; `null`: all. */
  shopsOf({ session }: Caller): readonly string[] | null {
    return session?.shops ?? null;
  }

  /** Who is signed in with this cookie. */
  describe(cookie: string | undefined, { isPlain, oidc }: { isPlain: boolean; oidc: string | null }): Session {
    const session = findSession(this.#identity, cookie);
    const { setup_required, open } = this.#identity.describe(session);
    const user = session && {
      name: session.user,
      role: session.role,
      kind: session.kind === 'token' ? ('token' as const) : ('person' as const),
      shops: session.shops ?? null,
      has_password: true,
    };
    return { setup_required, open, user, plain: isPlain, oidc };
  }

  /** Refuses a request that needs a session or a higher role. */
  refuse({ session }: Caller, path: string): Answer | null {
    if (this.#identity.isOpen || path === '/api/session') return null;
    if (session === null) return problem('sign-in-required', 'Nobody is signed in. Sign in on the page /login.');
    const role = NEEDED_ROLES.find(([pattern]) => pattern.test(path))?.[1] ?? 'viewer';
    const isAllowed = ROLES.indexOf(session.role) >= ROLES.indexOf(role);
    return isAllowed
      ? null
      : problem('forbidden', `This needs the role ${role}; you are signed in as ${session.role}.`);
  }

  /** Answers a request about accounts. Returns `null` for any other request. */
  answer(caller: Caller, method: string, url: URL, body: Body): Answer | null {
    return answerIdentity(this.#identity, caller, method, url, body);
  }
}
