/** The shops that can be chosen for a user or a token. */

const NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;

export type Candidates = {
  stores: string[];
  /** The searched name, if it could be a shop's that the office has not heard from yet. */
  added: string | null;
};

/** `chosen` may have shops that the office does not know, or no longer. */
export function findCandidates(known: readonly string[], chosen: readonly string[], search: string): Candidates {
  const stores = [...new Set([...known, ...chosen])].sort();
  const name = search.trim().toLowerCase();
  return { stores, added: NAME.test(name) && !stores.includes(name) ? name : null };
}
