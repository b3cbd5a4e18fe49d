import { describe, expect, it } from 'vitest';
import { Refusal } from './api/http';
import { PROBLEMS, type Problem, type ProblemType } from './api/types';
import { notStored, reason } from './failure';
import { en } from './i18n/en';
import { fr } from './i18n/fr';

const types = Object.keys(PROBLEMS) as ProblemType[];
const NOT = 'Not stored';

function refusal(type: ProblemType, field?: string): Refusal {
  const { title, status, stored } = PROBLEMS[type];
  // Words that a text could be told by, were anybody to look.
  const problem: Problem = { type, title, status, stored, detail: 'the journal is full', ...(field ? { field } : {}) };
  return new Refusal(problem);
}

describe.each([['en', en], ['fr', fr]] as const)('in %s', (_, m) => {
  it.each(types)('%s has a text of its own language, and the gateway’s words behind it', (type) => {
    const { text, details } = reason(refusal(type), m);
    expect(text).toBe(m.failure.problem[type]);
    expect(text).toMatch(/^[A-ZÀ-Ý].*\.$/);
    expect(text).not.toBe((m === en ? fr : en).failure.problem[type]);
    expect(details).toBe('the journal is full');
  });

  it.each(types)('%s is called "not stored" only where the gateway says so', (type) => {
    const { text } = notStored(refusal(type), NOT, m);
    const [said, unsaid] = PROBLEMS[type].stored === 'no' ? [NOT, m.failure.unknown] : [m.failure.unknown, NOT];
    expect(text).toBe(`${said}. ${m.failure.problem[type]}`);
    expect(text).not.toContain(unsaid);
  });

  it.each([
    ['no answer', new Refusal(null), m.failure.unreachable],
    ['a proxy’s answer', new Refusal(null, 502), m.failure.other(502)],
  ])('%s is never called "not stored"', (_name, error, why) => {
    expect(reason(error, m)).toEqual({ text: why });
    expect(notStored(error, NOT, m)).toEqual({ text: `${m.failure.unknown}. ${why}` });
  });
});

describe('a problem', () => {
  it('of a field that the form has is told in the words for that field', () => {
    expect(reason(refusal('urn:comptoir:problem:invalid-field', 'order_id'), en).text).toBe(en.failure.field.order_id);
    expect(reason(refusal('urn:comptoir:problem:invalid-field', 'lines[2].unit_price'), en).text).toBe(en.failure.problem['urn:comptoir:problem:invalid-field']);
  });

  it('of a type that a newer gateway knows still has a text', () => {
    const newer = { ...PROBLEMS['urn:comptoir:problem:journal-full'], type: 'urn:comptoir:problem:newer' as ProblemType, detail: '' };
    expect(reason(new Refusal(newer), en).text).toBe(en.failure.other(503));
  });

  it('includes one of each kind: an event that is not stored, and one that may be', () => {
    expect(new Set(types.map((type) => PROBLEMS[type].stored))).toEqual(new Set(['no', 'unknown']));
  });
});
