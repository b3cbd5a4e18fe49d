/** An answer of the simulated gateway's API. */
import { PROBLEMS, type Problem, type ProblemType } from '../src/lib/api/types';

export type Answer = { status: number; body?: unknown; retryAfter?: number | null; cookie?: string };
export type Body = Record<string, unknown>;
type ProblemName<T> = T extends `urn:comptoir:problem:${infer Name}` ? Name : never;

export function problem(name: ProblemName<ProblemType>, detail: string, field?: string): Answer {
  const type: ProblemType = `urn:comptoir:problem:${name}`;
  const { title, status, stored, retry_after } = PROBLEMS[type];
  const body = { type, title, status, detail, stored, ...(field ? { field } : {}) } satisfies Problem;
  return { status, body, retryAfter: retry_after };
}
