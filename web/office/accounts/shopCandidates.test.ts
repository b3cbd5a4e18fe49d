import { expect, it } from 'vitest';
import { findCandidates } from './shopCandidates';

const KNOWN = ['paris-1', 'lyon-2'];

it('are the known shops and those chosen before, each once', () => {
  expect(findCandidates(KNOWN, ['nice-3', 'lyon-2'], '').stores).toEqual(['lyon-2', 'nice-3', 'paris-1']);
});

it('may have a new shop, if the searched name could be one', () => {
  expect(findCandidates(KNOWN, [], ' Metz-8 ').added).toBe('metz-8');
  for (const search of ['', 'paris-1', 'LYON-2', 'zoé', '-1', 'a b', 'a'.repeat(33)])
    expect(findCandidates(KNOWN, [], search).added, search).toBeNull();
});
