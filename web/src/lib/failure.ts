import { RequestError } from './api/http';
import type { Problem } from './api/types';
import type { Messages } from './i18n/en';

/** By problem type. The server may be newer than the page, and have more types. */
type ProblemTexts = Partial<Record<string, string>>;

/** Why a request failed: in the reader's language, and in the gateway's own words (English) where those say more. */
export type Failure = { text: string; details?: string };

/**
 * `more`: texts by problem type, for pages that bring their own.
 *
 * @throws `error` itself if it is not a `RequestError`: that is a bug, not a failed request.
 */
export function describeFailure(error: unknown, m: Messages, more: ProblemTexts = {}): Failure {
  if (!(error instanceof RequestError)) throw error;
  const { problem, status } = error;
  if (problem) return { text: more[problem.type] ?? describeProblem(problem, m), details: problem.detail };
  return { text: status === null ? m.failure.unreachable : m.failure.other(status) };
}

function describeProblem({ type, field, status }: Problem, m: Messages): string {
  const fieldText = type === 'urn:comptoir:problem:invalid-field' ? m.failure.field[field ?? ''] : undefined;
  const texts: ProblemTexts = m.failure.problem;
  return fieldText ?? texts[type] ?? m.failure.other(status);
}

/**
 * Why an item could not be stored. The text `notStored` is used only if it is certain that nothing was stored.
 *
 * @throws `error` itself if it is not a `RequestError`.
 */
export function describeStoreFailure(error: unknown, notStored: string, m: Messages): Failure {
  const { text, ...rest } = describeFailure(error, m);
  const isNotStored = error instanceof RequestError && error.isNotStored;
  return { text: `${isNotStored ? notStored : m.failure.unknown}. ${text}`, ...rest };
}
