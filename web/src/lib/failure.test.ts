import { describe, expect, it } from 'vitest';
import { RequestError } from './api/http';
import { PROBLEMS, type Problem, type ProblemType } from './api/types';
import { describeFailure, describeStoreFailure } from './failure';
import { en } from './i18n/en';
import { fr } from './i18n/fr';
import { en as identityEn } from './i18n/identity/en';
import { fr as identityFr } from './i18n/identity/fr';

const types = Object.keys(PROBLEMS) as ProblemType[];
const NOT_STORED = 'Not stored';

function errorOf(type: ProblemType, field?: string): RequestError {
  const { title, status, stored } = PROBLEMS[type];
  // The same detail for every type: a page that matched on its text would fail these tests.
  const problem: Problem = { type, title, status, stored, detail: 'the journal is full', ...(field ? { field } : {}) };
  return new RequestError(problem);
}

describe.each([
  ['English', en, identityEn, fr],
  ['French', fr, identityFr, en],
] as const)('in %s', (_, m, identity, otherLanguage) => {
  const texts: Record<string, string> = { ...m.failure.problem, ...identity.problem };

  it.each(types)('%s has a text of its own, with the gateway’s words as details', (type) => {
    const { text, details } = describeFailure(errorOf(type), m, identity.problem);
    expect(text).toBe(texts[type]);
    expect(text).toMatch(/^[A-ZÀ-Ý].*\.$/);
    expect(Object.values<string>(otherLanguage.failure.problem)).not.toContain(text);
    expect(details).toBe('the journal is full');
  });

  // Pages that store something bring no texts of their own.
  const storeTypes = types.filter((type) => type in m.failure.problem);

  it.each(storeTypes)('%s is called "not stored" only if the gateway says so', (type) => {
    const { text } = describeStoreFailure(errorOf(type), NOT_STORED, m);
    const isNotStored = PROBLEMS[type].stored === 'no';
    const [expected, other] = isNotStored ? [NOT_STORED, m.failure.unknown] : [m.failure.unknown, NOT_STORED];
    expect(text).toBe(`${expected}. ${texts[type]}`);
    expect(text).not.toContain(other);
  });

  it.each([
    ['a missing answer', new RequestError(null), m.failure.unreachable],
    ['a proxy’s answer', new RequestError(null, 502), m.failure.other(502)],
  ])('%s is never called "not stored"', (_name, error, reason) => {
    expect(describeFailure(error, m)).toEqual({ text: reason });
    expect(describeStoreFailure(error, NOT_STORED, m)).toEqual({ text: `${m.failure.unknown}. ${reason}` });
  });
});

describe('a problem', () => {
  it('with a field of the form has the text for that field', () => {
    const text = (field: string) => describeFailure(errorOf('urn:comptoir:problem:invalid-field', field), en).text;
    expect(text('order_id')).toBe(en.failure.field.order_id);
    expect(text('lines[2].unit_price')).toBe(en.failure.problem['urn:comptoir:problem:invalid-field']);
  });

  it('of a type that only a newer gateway knows still has a text', () => {
    const newer = {
      ...PROBLEMS['urn:comptoir:problem:journal-full'],
      type: 'urn:comptoir:problem:newer' as ProblemType,
      detail: '',
    };
    expect(describeFailure(new RequestError(newer), en).text).toBe(en.failure.other(503));
  });

  it('exists for both outcomes: not stored, and unknown', () => {
    expect(new Set(types.map((type) => PROBLEMS[type].stored))).toEqual(new Set(['no', 'unknown']));
  });
});
