import { Refusal } from './api/http';
import type { Problem } from './api/types';
import type { Messages } from './i18n/en';

/** Why a request failed: in the reader's words, and below them in the gateway's own (English), where those say more. */
export type Failure = { text: string; details?: string };

export function reason(error: unknown, m: Messages): Failure {
  if (!(error instanceof Refusal)) throw error;
  const { problem, status } = error;
  if (problem) return { text: textOf(problem, m), details: problem.detail };
  return { text: status === null ? m.failure.unreachable : m.failure.other(status) };
}

function textOf({ type, field, status }: Problem, m: Messages): string {
  const ofField = type === 'urn:comptoir:problem:invalid-field' ? m.failure.field[field ?? ''] : undefined;
  // This page may be older than the gateway, which may know more types.
  const texts: Partial<Record<string, string>> = m.failure.problem;
  return ofField ?? texts[type] ?? m.failure.other(status);
}

/** What became of something that was to be stored. `not` says that it was not: only where that is certain. */
export function notStored(error: unknown, not: string, m: Messages): Failure {
  const { text, ...rest } = reason(error, m);
  const certain = error instanceof Refusal && error.certain;
  return { text: `${certain ? not : m.failure.unknown}. ${text}`, ...rest };
}
