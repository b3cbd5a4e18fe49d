import { expect, it } from 'vitest';
import { createGrant, isEmptyGrant, isSameGrant } from './grant';

it('has no shops where the program has one shop only', () => {
  expect(createGrant('viewer', undefined)).toEqual({ role: 'viewer' });
  expect(isEmptyGrant(createGrant('viewer', undefined))).toBe(false);
});

it('has all shops for an administrator, whatever was chosen before', () => {
  expect(createGrant('administrator', ['paris-1'])).toEqual({ role: 'administrator', shops: null });
  expect(createGrant('manager', ['paris-1'])).toEqual({ role: 'manager', shops: ['paris-1'] });
});

it('is empty with a list without shops, and not with all shops', () => {
  expect(isEmptyGrant({ role: 'viewer', shops: [] })).toBe(true);
  expect(isEmptyGrant({ role: 'viewer', shops: null })).toBe(false);
});

it('is the same in any order of its shops', () => {
  const grant = { role: 'viewer', shops: ['lyon-2', 'paris-1'] } as const;
  const [role, shops] = [grant.role, [...grant.shops]];
  expect(isSameGrant({ role, shops }, { role, shops: ['paris-1', 'lyon-2'] })).toBe(true);
  expect(isSameGrant({ role, shops }, { role, shops: null })).toBe(false);
  expect(isSameGrant({ role, shops }, { role: 'cashier', shops })).toBe(false);
  expect(isSameGrant({ role }, { role })).toBe(true);
});
