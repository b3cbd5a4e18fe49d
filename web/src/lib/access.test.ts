import { describe, expect, it, vi } from 'vitest';
import { ROLES, type Role, type Session } from './api/identity';

// The router listens to the window.
vi.stubGlobal('addEventListener', () => undefined);
vi.stubGlobal('location', { pathname: '/', search: '' });
vi.stubGlobal('document', { addEventListener: () => undefined });
const { allows, allowsPage, redirectFrom } = await import('./access');

const closed: Session = { setup_required: false, open: false, user: null, plain: false };
const withRole = (role: Role): Session => ({ ...closed, user: { name: 'Camille', role, kind: 'person' } });
const open: Session = { ...closed, open: true };
const blank: Session = { ...closed, setup_required: true };

describe('a role', () => {
  it.each(ROLES)('%s may do what the roles before it may, and no more', (role) => {
    const allowed = ROLES.filter((needed) => allows(withRole(role), needed));
    expect(allowed).toEqual(ROLES.slice(0, ROLES.indexOf(role) + 1));
  });

  it('is not needed without sign-in, and is missing while nobody is signed in', () => {
    expect(allows(open, 'administrator')).toBe(true);
    expect(allows(null, 'administrator')).toBe(true);
    expect(allows(closed, 'viewer')).toBe(false);
  });

  it('opens the day to cashiers, whichever day it is', () => {
    for (const page of ['day', 'day/2026-12-01'] as const) {
      const allowed = ROLES.filter((role) => allowsPage(withRole(role), page));
      expect(allowed, page).toEqual(ROLES.slice(1));
    }
  });

  it('opens the audit log to managers and the users to administrators', () => {
    const opened = (role: Role) =>
      (['account', 'audit', 'users'] as const).filter((p) => allowsPage(withRole(role), p));
    expect(ROLES.map(opened)).toEqual([['account'], ['account'], ['account', 'audit'], ['account', 'audit', 'users']]);
  });
});

describe('the page that is shown instead', () => {
  it.each([
    ['dashboard', null, null],
    ['dashboard', open, null],
    ['login', open, 'dashboard'],
    ['users', open, 'dashboard'],
    ['orders', blank, 'setup'],
    ['login', blank, 'setup'],
    ['setup', blank, null],
    ['setup', closed, 'login'],
    ['orders', closed, 'login'],
    ['login', closed, null],
    ['login', withRole('viewer'), 'dashboard'],
    ['setup', withRole('administrator'), 'dashboard'],
    ['users', withRole('viewer'), null],
  ] as const)('of %s with %j is %s', (page, session, expected) => {
    expect(redirectFrom(page, session, false)).toBe(expected);
  });

  it('is none while the set-up continues', () => {
    expect(redirectFrom('setup', withRole('administrator'), true)).toBeNull();
  });
});
