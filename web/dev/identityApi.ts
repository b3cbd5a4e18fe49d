/** The identity endpoints of the simulated gateway and of the simulated office. */
import type { IncomingMessage } from 'node:http';
import { MIN_PASSWORD_LENGTH, type Role, type CurrentUser } from '../src/lib/api/identity';
import type { Grant } from '../src/lib/grant';
import { isRole, type StoredSession } from './accounts';
import { problem, type Answer, type Body } from './answer';
import { SETUP_CODE, THROTTLE_SECONDS, type Identity } from './identity';

const COOKIE = 'comptoir_session';

export type Caller = { session: StoredSession | null; address: string; agent: string };

export function findSession(identity: Identity, cookie: string | undefined): StoredSession | null {
  const secret = new RegExp(`(?:^|; )${COOKIE}=([^;]*)`).exec(cookie ?? '')?.[1];
  return identity.accounts.session(secret);
}

export function findCaller(identity: Identity, request: IncomingMessage): Caller {
  return {
    session: findSession(identity, request.headers.cookie),
    address: request.socket.remoteAddress?.replace(/^::ffff:/, '') ?? '127.0.0.1',
    agent: request.headers['user-agent'] ?? '',
  };
}

const NO_CONTENT: Answer = { status: 204 };
const setCookie = (value: string) => `${COOKIE}=${value}; Path=/; HttpOnly; SameSite=Strict`;
const clearedCookie = `${COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0`;

/** The role that an operation requires. Operations that are not listed require a viewer. */
const NEEDED_ROLES: [RegExp, Role][] = [
  [/^POST \/api\/(orders|payments|deliveries)$/, 'cashier'],
  [/^(GET|POST) \/api\/dead-letters/, 'manager'],
  [/^GET \/api\/days\//, 'cashier'],
  [/^POST \/api\/days\//, 'manager'],
  [/^GET \/api\/audit$/, 'manager'],
  [/^POST \/api\/pairings\/approve$/, 'manager'],
  [/^\w+ \/api\/(users|tokens)/, 'administrator'],
];
const PUBLIC = [
  /^(GET|POST|DELETE) \/api\/session$/,
  /^POST \/api\/setup$/,
  /^POST \/api\/pairings$/,
  /^GET \/api\/pairings\//,
];

/** Refuses a request that needs a session or a higher role. */
export function checkAccess(identity: Identity, { session }: Caller, method: string, path: string): Answer | null {
  const call = `${method} ${path}`;
  if (identity.isOpen || PUBLIC.some((pattern) => pattern.test(call))) return null;
  if (identity.isSetupRequired) return problem('setup-required', 'Set the gateway up at /setup first.');
  if (session === null) return problem('sign-in-required', 'Sign in at /login, or send a token.');
  const role = NEEDED_ROLES.find(([pattern]) => pattern.test(call))?.[1] ?? 'viewer';
  return identity.allows(session, role) ? null : problem('forbidden', `${call} needs the role ${role}.`);
}

/** Answers an identity request. Returns `null` for any other request. */
export function answerIdentity(
  identity: Identity,
  caller: Caller,
  method: string,
  url: URL,
  body: Body,
): Answer | null {
  const [, , resource = '', id = '', action = ''] = url.pathname.split('/').map(decodeURIComponent);
  switch (`${method} ${resource}${id ? '/…' : ''}${action ? '/…' : ''}`) {
    case 'GET session':
      return { status: 200, body: identity.describe(caller.session) };
    case 'POST session':
      return signIn(identity, caller, body);
    case 'DELETE session':
      return signOut(identity, caller);
    case 'POST setup':
      return setUp(identity, caller, body);
    case 'PUT session/…':
      return changePassword(identity, caller, body);
    case 'GET users':
      return { status: 200, body: identity.accounts.users() };
    case 'POST users':
      return addUser(identity, caller, body);
    case 'PATCH users/…':
      return changeUser(identity, caller, id, body);
    case 'DELETE users/…':
      return removeUser(identity, caller, id);
    case 'GET sessions':
      return { status: 200, body: caller.session ? identity.accounts.sessions(caller.session) : [] };
    case 'DELETE sessions/…':
      return endSession(identity, caller, id);
    case 'GET tokens':
      return { status: 200, body: identity.accounts.tokens() };
    case 'POST tokens':
      return addToken(identity, caller, body);
    case 'DELETE tokens/…':
      return removeToken(identity, caller, id);
    case 'POST pairings': {
      const { id, code, secret, expiresAt } = identity.startPairing();
      return { status: 201, body: { id, code, secret, expires_at: new Date(expiresAt).toISOString() } };
    }
    case 'POST pairings/…':
      return approvePairing(identity, caller, body);
    case 'GET pairings/…':
      return pollPairing(identity, caller, id, url.searchParams.get('secret'));
    case 'GET audit':
      return {
        status: 200,
        body: identity.audit.page(Number(url.searchParams.get('limit') ?? 50), url.searchParams.get('cursor')),
      };
    default:
      return null;
  }
}

const actorOf = ({ session, address }: Caller) => ({
  actor: session?.user ?? '',
  actor_kind: session?.kind ?? ('anonymous' as const),
  address,
});

/** Opens a session, and sends its cookie. */
function open(identity: Identity, { address, agent }: Caller, user: CurrentUser, status: number): Answer {
  const session = identity.accounts.open(user, address, agent);
  return { status, body: identity.describe(session), cookie: setCookie(session.secret) };
}

const tooManyAttempts = (): Answer => ({
  ...problem('too-many-attempts', `Too many failed attempts. Try again in ${THROTTLE_SECONDS} seconds.`),
  retryAfter: THROTTLE_SECONDS,
});

function validatePassword(password: unknown): Answer | null {
  const isLongEnough = typeof password === 'string' && [...password].length >= MIN_PASSWORD_LENGTH;
  return isLongEnough
    ? null
    : problem('invalid-field', `password: at least ${MIN_PASSWORD_LENGTH} characters`, 'password');
}

function validateName(name: unknown): Answer | null {
  const isValid = typeof name === 'string' && name.trim() !== '' && [...name].length <= 64 && !/\p{Cc}/u.test(name);
  return isValid ? null : problem('invalid-field', 'name: expected 1 to 64 characters, no control characters', 'name');
}

function signIn(identity: Identity, caller: Caller, { name, password }: Body): Answer {
  if (identity.isSetupRequired) return problem('setup-required', 'Set the gateway up at /setup first.');
  if (identity.isPlain) return problem('plain-sign-in-refused', 'Open this page with https://.');
  const key = String(name).toLowerCase();
  if (identity.isThrottled(key)) return tooManyAttempts();
  const account = identity.accounts.find(String(name));
  if (account?.password !== password || account === undefined) {
    identity.countFailure(key);
    identity.audit.add({
      ...actorOf(caller),
      actor_kind: 'anonymous',
      actor: '',
      action: 'sign-in-failed',
      subject: String(name),
    });
    return problem('sign-in-failed', 'The name or the password is wrong.');
  }
  identity.forgetFailures(key);
  const user: CurrentUser = { name: account.name, role: account.role, kind: 'person' };
  identity.audit.add({
    actor: user.name,
    actor_kind: 'person',
    address: caller.address,
    action: 'signed-in',
    after: { agent: caller.agent },
  });
  return open(identity, caller, user, 200);
}

function signOut(identity: Identity, caller: Caller): Answer {
  if (caller.session) {
    identity.audit.add({ ...actorOf(caller), action: 'signed-out' });
    identity.accounts.end(caller.session.id);
  }
  return { status: 204, cookie: clearedCookie };
}

function setUp(identity: Identity, caller: Caller, { code, name, password }: Body): Answer {
  if (!identity.isSetupRequired) return problem('already-set-up', 'There is already an administrator. Sign in.');
  if (identity.isThrottled('setup')) return tooManyAttempts();
  if (code !== SETUP_CODE) {
    identity.countFailure('setup');
    return problem('setup-code-wrong', 'The code is in the log of the service.');
  }
  const invalid = validateName(name) ?? validatePassword(password);
  if (invalid) return invalid;
  identity.accounts.add({ name: String(name), role: 'administrator', password: String(password) });
  identity.audit.add({
    actor: String(name),
    actor_kind: 'person',
    address: caller.address,
    action: 'set-up',
    subject: String(name),
    after: { role: 'administrator' },
  });
  return open(identity, caller, { name: String(name), role: 'administrator', kind: 'person' }, 201);
}

function changePassword(identity: Identity, caller: Caller, { current, password }: Body): Answer {
  const account = identity.accounts.find(caller.session?.user ?? '');
  if (account?.password !== current || account === undefined) {
    return { ...problem('sign-in-failed', 'The current password is wrong.'), status: 403 };
  }
  const invalid = validatePassword(password);
  if (invalid) return invalid;
  identity.accounts.change(account, { password: String(password) }, caller.session?.id ?? null);
  identity.audit.add({
    ...actorOf(caller),
    action: 'user-changed',
    subject: account.name,
    after: { password: 'changed' },
  });
  return NO_CONTENT;
}

/** The shops of a user or token of the office; a gateway's have none. */
function readGrant(role: Role, shops: unknown): Grant | Answer {
  if (shops === undefined || shops === null) return { role, ...(shops === undefined ? {} : { shops }) };
  if (role === 'administrator') return problem('invalid-field', 'shops: an administrator sees all shops', 'shops');
  return Array.isArray(shops) && shops.length > 0
    ? { role, shops: shops.map(String) }
    : problem('invalid-field', 'shops: the list is empty; name at least one shop', 'shops');
}

const isAnswer = (value: Partial<Grant> | Answer): value is Answer => 'status' in value;

function addUser(identity: Identity, caller: Caller, { name, role, shops, password }: Body): Answer {
  const invalid = validateName(name) ?? validatePassword(password);
  if (invalid) return invalid;
  if (!isRole(role))
    return problem('invalid-field', 'role: expected viewer, cashier, manager or administrator', 'role');
  const grant = readGrant(role, shops);
  if (isAnswer(grant)) return grant;
  if (identity.accounts.find(String(name))) return problem('user-exists', `There is already a user ${String(name)}.`);
  identity.accounts.add({ name: String(name), ...grant, password: String(password) });
  identity.audit.add({ ...actorOf(caller), action: 'user-added', subject: String(name), after: grant });
  return { status: 201, body: identity.accounts.user(String(name)) };
}

function changeUser(identity: Identity, caller: Caller, name: string, { role, shops, password }: Body): Answer {
  const account = identity.accounts.find(name);
  if (!account) return problem('not-found', `There is no user ${name}.`);
  if (role !== undefined && !isRole(role)) return problem('invalid-field', 'role: unknown', 'role');
  if (role !== undefined && role !== 'administrator' && identity.accounts.isLastAdministrator(account)) {
    return problem('last-administrator', `${name} is the last administrator.`);
  }
  const invalid = password === undefined ? null : validatePassword(password);
  if (invalid) return invalid;
  const grant = role === undefined ? {} : readGrant(role, shops);
  if (isAnswer(grant)) return grant;
  const { role: roleBefore, shops: shopsBefore } = account;
  const before = { role: roleBefore, ...(shopsBefore === undefined ? {} : { shops: shopsBefore }) };
  const changes = { ...grant, ...(password ? { password: String(password) } : {}) };
  identity.accounts.change(account, changes, caller.session?.id ?? null);
  identity.audit.add({
    ...actorOf(caller),
    action: 'user-changed',
    subject: account.name,
    before: role ? before : null,
    after: { ...grant, ...(password ? { password: 'changed' } : {}) },
  });
  return { status: 200, body: identity.accounts.user(account.name) };
}

function removeUser(identity: Identity, caller: Caller, name: string): Answer {
  const account = identity.accounts.find(name);
  if (!account) return problem('not-found', `There is no user ${name}.`);
  if (identity.accounts.isLastAdministrator(account)) {
    return problem('last-administrator', `${name} is the last administrator.`);
  }
  identity.audit.add({
    ...actorOf(caller),
    action: 'user-removed',
    subject: account.name,
    before: { role: account.role },
  });
  identity.accounts.remove(account);
  return NO_CONTENT;
}

function endSession(identity: Identity, caller: Caller, id: string): Answer {
  const target = caller.session && identity.accounts.sessions(caller.session).find((session) => session.id === id);
  if (!target) return problem('not-found', `There is no session ${id}.`);
  identity.audit.add({ ...actorOf(caller), action: 'session-ended', subject: target.user });
  identity.accounts.end(id);
  return NO_CONTENT;
}

function addToken(identity: Identity, caller: Caller, { name, role, shops }: Body): Answer {
  const invalid = validateName(name);
  if (invalid) return invalid;
  if (!isRole(role)) return problem('invalid-field', 'role: unknown', 'role');
  const grant = readGrant(role, shops);
  if (isAnswer(grant)) return grant;
  identity.audit.add({ ...actorOf(caller), action: 'token-added', subject: String(name), after: grant });
  return { status: 201, body: identity.accounts.addToken(String(name), grant) };
}

function removeToken(identity: Identity, caller: Caller, id: string): Answer {
  const token = identity.accounts.removeToken(id);
  if (!token) return problem('not-found', `There is no token ${id}.`);
  identity.audit.add({
    ...actorOf(caller),
    action: 'token-removed',
    subject: token.name,
    before: { role: token.role },
  });
  return NO_CONTENT;
}

function approvePairing(identity: Identity, caller: Caller, { code }: Body): Answer {
  if (!identity.approvePairing(String(code))) {
    return problem('pairing-not-found', `No screen is showing the code ${String(code)}.`);
  }
  identity.audit.add({ ...actorOf(caller), action: 'screen-paired', after: { kind: 'screen', role: 'viewer' } });
  return NO_CONTENT;
}

function pollPairing(identity: Identity, caller: Caller, id: string, secret: string | null): Answer {
  const state = identity.pollPairing(id, secret);
  if (state !== 'approved') return { status: 200, body: { state } };
  const user: CurrentUser = { name: identity.accounts.nextName('screen'), role: 'viewer', kind: 'screen' };
  return { ...open(identity, caller, user, 200), body: { state } };
}

/** Records a person's change in the shop in the audit log. */
export function auditShopChange(identity: Identity, caller: Caller, path: string, answer: Answer): void {
  if (identity.isOpen || answer.status !== 201) return;
  const kind = /^\/api\/(order|payment|deliver)/.exec(path)?.[1];
  const item = answer.body as Record<string, unknown>;
  if (path.startsWith('/api/dead-letters/')) {
    identity.audit.add({ ...actorOf(caller), action: 'dead-letter-retried', subject: path.split('/')[3] ?? null });
  } else if (path.startsWith('/api/days/')) {
    identity.audit.add({ ...actorOf(caller), action: 'day-closed', subject: path.split('/')[3] ?? null });
  } else if (kind) {
    const name = kind === 'deliver' ? 'delivery' : (kind as 'order' | 'payment');
    const { amount, currency, status, method } = item;
    identity.audit.add({
      ...actorOf(caller),
      action: `${name}-posted`,
      subject: String(item[`${name}_id`]),
      after: Object.fromEntries(
        Object.entries({ amount, currency, status, method }).filter(([, value]) => value !== undefined),
      ),
    });
  }
}
