import { expect, it } from 'vitest';
import { Drafts } from './drafts';

/** The storage of one tab. */
function createStorage() {
  const items = new Map<string, string>();
  return {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
    removeItem: (key: string) => void items.delete(key),
    items,
  };
}

const typed = { amount: '12,50' };

function draftOf(owner: string, storage = createStorage()) {
  const drafts = new Drafts(storage);
  drafts.claim(owner);
  drafts.save('payment', typed);
  return { drafts, storage };
}

it('a draft is kept while other pages are open, and when the same person signs in again', () => {
  const { drafts } = draftOf('Hugo');
  expect(drafts.get('payment')).toEqual(typed);
  drafts.claim('Hugo');
  expect(drafts.get('payment')).toEqual(typed);
});

it('a draft is kept in this tab when the page is reloaded, for the same person', () => {
  const { storage } = draftOf('Hugo');
  const reloaded = new Drafts(storage);
  expect(reloaded.get('payment')).toBeUndefined();
  reloaded.claim('Hugo');
  expect(reloaded.get('payment')).toEqual(typed);
});

it('without sign-in, a draft is there at once after a reload', () => {
  const { storage } = draftOf('');
  expect(new Drafts(storage).get('payment')).toEqual(typed);
});

it('another person gets nothing, and neither does the first one after them', () => {
  for (const isReloaded of [false, true]) {
    const { drafts: before, storage } = draftOf('Hugo');
    const drafts = isReloaded ? new Drafts(storage) : before;
    drafts.claim('Margaux');
    expect(drafts.get('payment')).toBeUndefined();
    expect([...storage.items]).toEqual([]);
    drafts.claim('Hugo');
    expect(drafts.get('payment')).toBeUndefined();
  }
});

it('nothing is kept after signing out, not even what an open form saves then', () => {
  const { drafts, storage } = draftOf('Hugo');
  drafts.clear();
  drafts.save('payment', typed);
  expect(drafts.get('payment')).toBeUndefined();
  expect([...storage.items]).toEqual([]);
  drafts.claim('Hugo');
  expect(drafts.get('payment')).toBeUndefined();
});

it('without storage, a draft lasts until the next reload', () => {
  const forbidden = () => {
    throw new Error('forbidden');
  };
  for (const storage of [null, { getItem: forbidden, setItem: forbidden, removeItem: forbidden }]) {
    const drafts = new Drafts(storage);
    drafts.claim('Hugo');
    drafts.save('payment', typed);
    expect(drafts.get('payment')).toEqual(typed);
  }
});
