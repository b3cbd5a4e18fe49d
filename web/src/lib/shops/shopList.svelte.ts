/** A paged list of another shop's sales. */
import type { Page } from '../api/types';
import { describeFailure } from '../failure';
import { i18n } from '../i18n/i18n.svelte';
import type { Item } from '../live/reducer';
import { toasts } from '../toasts.svelte';
import { pollShop, type ShopPoll } from './pollShop.svelte';

/** `cursors` has the cursor of each older page, up to the page that was read. */
type ListPage<T> = Page<T> & { cursors: readonly string[] };

/** Call it while a component is created. */
export function shopList<T extends Item>(readPage: (cursor: string | null) => Promise<Page<T>>) {
  let isTurning = $state(false);
  const poll: ShopPoll<ListPage<T>> = pollShop(() => readAt(poll.value?.cursors ?? []));
  const items = $derived<readonly T[]>(poll.value?.items ?? []);
  const cursors = $derived(poll.value?.cursors ?? []);
  const nextCursor = $derived(poll.value?.next_cursor ?? null);

  async function readAt(cursors: readonly string[]): Promise<ListPage<T>> {
    return { ...(await readPage(cursors.at(-1) ?? null)), cursors };
  }

  async function turnTo(cursors: readonly string[]) {
    if (isTurning) return;
    isTurning = true;
    let hasFailed = false;
    await poll.replace(
      () => readAt(cursors),
      (error) => {
        hasFailed = true;
        toasts.showFailure(describeFailure(error, i18n.m));
      },
    );
    isTurning = false;
    if (!hasFailed) scrollTo(0, 0);
  }

  return {
    poll,
    get isReady() {
      return poll.value !== null;
    },
    /** The rows of the page. */
    get items() {
      return items;
    },
    /** The rows if this is the latest page; none on an older page. */
    get latest() {
      return cursors.length === 0 ? items : [];
    },
    /** 1 is the latest page. */
    get pageNumber() {
      return cursors.length + 1;
    },
    get hasOlder() {
      return nextCursor !== null;
    },
    get isTurning() {
      return isTurning;
    },
    showOlder: () => turnTo(nextCursor === null ? cursors : [...cursors, nextCursor]),
    showNewer: () => turnTo(cursors.slice(0, -1)),
    showLatest: () => turnTo([]),
    restart: () => poll.restart(),
  };
}
