import { expect, it } from 'vitest';
import { diffFields } from './auditDiff';

it('lists only the fields that differ, in the order of the entry', () => {
  expect(
    diffFields({ role: 'cashier', name: 'Léa', sessions: 2 }, { role: 'manager', name: 'Léa', sessions: 0 }),
  ).toEqual([
    { path: 'role', before: 'cashier', after: 'manager' },
    { path: 'sessions', before: 2, after: 0 },
  ]);
});

it('lists every field of something that is new or gone', () => {
  expect(diffFields(null, { role: 'viewer' })).toEqual([{ path: 'role', before: undefined, after: 'viewer' }]);
  expect(diffFields({ role: 'viewer' }, null)).toEqual([{ path: 'role', before: 'viewer', after: undefined }]);
  expect(diffFields(null, null)).toEqual([]);
});

it('flattens lists and objects', () => {
  expect(diffFields({ lines: [{ quantity: 1 }] }, { lines: [{ quantity: 2 }, { quantity: 1 }] })).toEqual([
    { path: 'lines[0].quantity', before: 1, after: 2 },
    { path: 'lines[1].quantity', before: undefined, after: 1 },
  ]);
});

it('tells a missing field from an empty one', () => {
  expect(diffFields({ address: null }, {})).toEqual([{ path: 'address', before: null, after: undefined }]);
});

it('shows a list of names as one value', () => {
  expect(diffFields({ shops: null }, { shops: ['lyon-2', 'paris-1'] })).toEqual([
    { path: 'shops', before: null, after: 'lyon-2, paris-1' },
  ]);
});
