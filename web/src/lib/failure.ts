import { Refusal } from './api/http';
import type { Messages } from './i18n/en';

/** Why a request failed: in the reader's words, and below them in the gateway's own (English), where those say more. */
export type Failure = { text: string; details?: string };

export function reason(error: unknown, m: Messages): Failure {
  if (!(error instanceof Refusal)) throw error;
  const { problem } = error;
  if (problem === null) return { text: m.failure.unreachable };
  const details = problem.detail;
  switch (problem.status) {
    case 401:
      return { text: m.failure.password };
    case 404:
      return { text: m.failure.notFound, details };
    case 409:
      return { text: m.failure.already, details };
    case 422:
      return { text: m.failure.field[problem.field ?? ''] ?? m.failure.invalid, details };
    case 503:
      return unavailable(details, m);
    default:
      return { text: m.failure.other(problem.status), details };
  }
}

/** All of them are 503: one waits for Kafka, one for the person who looks after the disk, one for nobody. */
function unavailable(details: string, m: Messages): Failure {
  if (details.startsWith('the journal is full')) return { text: m.failure.full };
  if (details.startsWith('the journal could not be written')) return { text: m.failure.disk, details };
  return { text: m.failure.busy, details };
}

/** What became of something that was to be stored. `not` says that it was not: only where that is certain. */
export function notStored(error: unknown, not: string, m: Messages): Failure {
  if (error instanceof Refusal && !error.certain) return { text: m.failure.unknown, ...(error.problem ? { details: error.problem.detail } : {}) };
  const { text, details } = reason(error, m);
  return { text: `${not}. ${text}`, ...(details === undefined ? {} : { details }) };
}
