/** What a user or a token may do, and in head office in which shops. */
import type { Role } from './api/identity';
import type { Shops } from './identityContext';

/** `shops` is absent where the program has one shop only. */
export type Grant = { role: Role; shops?: Shops };

/** What to send: an administrator has all shops. `shops`: `undefined` where the program has one shop only. */
export function createGrant(role: Role, shops: Shops | undefined): Grant {
  if (shops === undefined) return { role };
  return { role, shops: role === 'administrator' ? null : shops };
}

/** Whether nobody would have access with this grant: a list of shops without any shop. */
export const isEmptyGrant = ({ shops }: Grant): boolean => shops?.length === 0;

export function isSameGrant(a: Grant, b: Grant): boolean {
  const sorted = (shops: Shops | undefined) => JSON.stringify(shops ? [...shops].sort() : null);
  return a.role === b.role && sorted(a.shops) === sorted(b.shops);
}
