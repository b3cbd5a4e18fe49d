/** Names for the generated types of sign-in, users and the audit log, and the lists of their values. */
import type { Shops } from '../identityContext';
import type {
  AuditEntry,
  OpenSession as GatewaySession,
  Role,
  Token as GatewayToken,
  User as GatewayUser,
} from './types';

export type {
  ActorKind,
  AuditEntry,
  AuditPage,
  CreatedToken,
  CurrentUser,
  Pairing,
  PairingStatus,
  Role,
  Session,
  UserKind,
} from './types';

/** Head office adds the shops. A gateway has one shop. */
type WithShops = { shops?: Shops };
export type User = GatewayUser & WithShops;
export type Token = GatewayToken & WithShops;
export type ActiveSession = GatewaySession & WithShops;

/** Each role may do what the roles before it may. */
export const ROLES = ['viewer', 'cashier', 'manager', 'administrator'] as const satisfies readonly Role[];

/** A newer gateway may have more actions. */
export const AUDIT_ACTIONS = [
  'chain-started',
  'sign-in-failed',
  'signed-in',
  'signed-out',
  'set-up',
  'user-added',
  'user-changed',
  'user-removed',
  'session-ended',
  'token-added',
  'token-removed',
  'screen-paired',
  'order-posted',
  'payment-posted',
  'delivery-posted',
  'dead-letter-retried',
  'device-forgotten',
  'customer-erased',
  'day-closed',
] as const satisfies readonly AuditEntry['action'][];
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/** In characters. The gateway refuses a shorter password. */
export const MIN_PASSWORD_LENGTH = 8;
