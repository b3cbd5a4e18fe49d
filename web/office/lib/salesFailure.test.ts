import { describe, expect, it } from 'vitest';
import { RequestError } from '../../src/lib/api/http';
import type { Problem } from '../../src/lib/api/types';
import { en } from './i18n/en';
import { describeSalesFailure } from './salesFailure';

const failure = (problem: object) => describeSalesFailure(new RequestError(problem as Problem, 400), en);

describe('a failed request for sales', () => {
  it('names the field that the server refuses, in the server’s words', () => {
    const problem = { type: 'urn:comptoir:problem:invalid-query', detail: 'until: a year …', field: 'until' };
    expect(failure(problem)).toEqual({
      text: en.sales.refused,
      details: 'until: a year …',
      isRefusal: true,
      field: 'to',
    });
    expect(failure({ ...problem, field: undefined }).field).toBeNull();
    expect(failure({ ...problem, field: 'later' }).field).toBeNull();
  });

  it('says what is wrong with the server', () => {
    const problem = { type: 'urn:comptoir:problem:database-unavailable', detail: 'Try again.', field: 'store' };
    expect(failure(problem)).toMatchObject({ isRefusal: false, field: null, details: 'Try again.' });
    expect(failure(problem).text).toContain('PostgreSQL');
    expect(describeSalesFailure(new RequestError(null), en)).toEqual({
      text: en.failure.unreachable,
      details: null,
      isRefusal: false,
      field: null,
    });
  });

  it('does not hide a bug behind a sentence', () => {
    expect(() => describeSalesFailure(new TypeError('bug'), en)).toThrow(TypeError);
  });
});
