import { Refusal } from './api/http';
import type { Messages } from './i18n/en';

/** Why a request failed, in the reader's words where we have them, else in the gateway's. */
export function reason(error: unknown, m: Messages): string {
  if (!(error instanceof Refusal)) throw error;
  if (error.problem === null) return m.failure.unreachable;
  return error.problem.status === 503 ? m.failure.full : error.problem.detail;
}
