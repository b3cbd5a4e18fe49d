import { describe, expect, it } from 'vitest';
import { RequestError } from '../../src/lib/api/http';
import type { Problem } from '../../src/lib/api/types';
import { createFormats } from '../../src/lib/i18n/format';
import { createAges } from './ages';
import { en } from './i18n/en';
import { fr } from './i18n/fr';
import { startOfDay } from './startOfDay';
import { describeFailure, describeStatus } from './statusLine';

const NOW = new Date(2026, 2, 16, 16, 40, 30).getTime();
const f = createFormats('en-GB', () => new Date(NOW));
const status = (more: object) =>
  describeStatus(
    { overview: null, readAt: NOW - 4000, error: null, now: NOW, isLive: true, ...more },
    en,
    f,
    createAges('en-GB'),
  );
const problem = (type: string) => new RequestError({ type, status: 503, detail: 'No' } as unknown as Problem);

describe('the sentence below the top bar', () => {
  it('says how old what is shown is', () => {
    expect(status({ readAt: null })).toEqual({ tone: 'quiet', text: en.bar.reading, more: [] });
    expect(status({})).toEqual({ tone: 'good', text: 'Up to date', more: ['live', 'read 4 sec ago'] });
    expect(status({ isLive: false }).more).toEqual(['not live: connecting…', 'read 4 sec ago']);
  });

  it('is not ahead of the clock', () => {
    expect(status({ readAt: NOW + 700 }).more).toEqual(['live', 'read 0 sec ago']);
  });

  it('says that the office cannot be reached, and when it was last read', () => {
    expect(status({ readAt: NOW - 180_000, error: new RequestError(null) })).toEqual({
      tone: 'bad',
      text: 'The head-office server is unreachable',
      more: ['Last read: 16:37:30, 3 min ago', en.bar.again],
    });
    expect(status({ readAt: null, error: new RequestError(null) }).more).toEqual([en.bar.again]);
  });

  it('says that the office has not read everything from Kafka', () => {
    const at = (minutes: number) => new Date(NOW - minutes * 60_000).toISOString();
    const overview = (minutes: number) => ({ time: at(0), as_of: at(minutes) });
    expect(status({ overview: overview(15) }).tone).toBe('good');
    expect(status({ overview: { time: at(0) } }).tone).toBe('good');
    const late = status({ overview: overview(40) });
    expect(late).toEqual({ tone: 'wait', text: en.bar.late('16:00:30'), more: [en.bar.lateHint, 'read 4 sec ago'] });
  });

  it('names a problem by its type', () => {
    expect(describeFailure(problem('urn:comptoir:problem:database-unavailable'), fr)).toContain('PostgreSQL');
    expect(describeFailure(problem('urn:comptoir:problem:later'), en)).toBe(en.failure.other(503));
    expect(describeFailure(new RequestError(null, 502), en)).toBe(en.failure.other(502));
  });

  it('does not hide a bug behind a sentence', () => {
    expect(() => describeFailure(new TypeError('bug'), en)).toThrow(TypeError);
  });
});

describe('the day', () => {
  it('begins at midnight where the reader is', () => {
    expect(startOfDay(NOW)).toBe(new Date(2026, 2, 16).toISOString());
  });
});
