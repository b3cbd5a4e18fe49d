/** What a session may see and do. The gateway enforces it; the pages only hide what it would refuse. */
import { ROLES, type Role, type Session } from './api/identity';
import { isIdentityPage, sectionOf, type PageName } from './router.svelte';

/** `null` means that the session is not known yet. Pages then show what they show without sign-in. */
type KnownSession = Session | null;

/** The lowest role that may open a page. */
const PAGE_ROLES: Partial<Record<PageName, Role>> = { users: 'administrator', audit: 'manager', day: 'cashier' };

export function allows(session: KnownSession, role: Role): boolean {
  if (session === null || session.open) return true;
  return session.user !== null && ROLES.indexOf(session.user.role) >= ROLES.indexOf(role);
}

export const allowsPage = (session: KnownSession, page: PageName): boolean =>
  allows(session, PAGE_ROLES[sectionOf(page)] ?? 'viewer');

/**
 * The page to show instead of `page`, or `null` if `page` may be shown. `isOnboarding`: the set-up has just succeeded,
 * and its page still offers the next steps.
 */
export function redirectFrom(page: PageName, session: KnownSession, isOnboarding: boolean): PageName | null {
  if (session === null) return null;
  if (session.open) return isIdentityPage(page) ? 'dashboard' : null;
  if (session.setup_required) return page === 'setup' ? null : 'setup';
  if (session.user === null) return page === 'login' ? null : 'login';
  if (page === 'setup') return isOnboarding ? null : 'dashboard';
  return page === 'login' ? 'dashboard' : null;
}
