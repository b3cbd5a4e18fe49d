/** Why the sales could not be read. */
import { RequestError } from '../../src/lib/api/http';
import type { OfficeMessages } from './i18n/en';
import { fieldOf, type FilterField } from './salesFilter';
import { describeFailure } from './statusLine';

export type SalesFailure = {
  text: string;
  /** The server's own words (English), where those say more. */
  details: string | null;
  /** The filter is not valid. */
  isRefusal: boolean;
  /** The field that is not valid, where the server names it. */
  field: FilterField | null;
};

/**
 * @throws `error` itself if it is not a `RequestError`: that is a bug, not a failed request.
 */
export function describeSalesFailure(error: unknown, t: OfficeMessages): SalesFailure {
  const text = describeFailure(error, t);
  const problem = error instanceof RequestError ? error.problem : null;
  // The gateway's API does not have this type.
  const type: string | undefined = problem?.type;
  const isRefusal = type === 'urn:comptoir:problem:invalid-query';
  return {
    text: isRefusal ? t.sales.refused : text,
    details: problem?.detail ?? null,
    isRefusal,
    field: isRefusal ? fieldOf(problem?.field) : null,
  };
}
