/**
 * A list that stands still while somebody reads it or aims at a row: while a row is open, the list is scrolled away from
 * its top, a pointer is on it or has just touched it, or the keyboard's focus is in it. New items then wait until the
 * reader asks for them, or leaves. Rows that are shown still change in place.
 */
import { untrack } from 'svelte';
import { holdAfter, TOUCH_MS } from './hold';
import { keyOf, replaceItems, updateItems, type Item } from './reducer';
import { live } from './store.svelte';

type Options<T> = {
  all: () => readonly T[];
  /** Another reason to pause the list besides scrolling, such as an open row. */
  isBusy?: () => boolean;
  /** The items are polled from another shop, so live updates do not apply to them. */
  isPolled?: boolean;
};

export function pausableList<T extends Item>({ all, isBusy = () => false, isPolled = false }: Options<T>) {
  let kept = $state.raw<readonly T[] | null>(null);
  let isScrolled = $state(false);
  let isAimedAt = $state(false);
  let hasFocus = $state(false);
  const isReady = $derived(isPolled ? all().length > 0 : live.view.isReady);
  const mustPause = $derived(isReady && (isScrolled || isAimedAt || hasFocus || isBusy()));
  const items = $derived(kept ?? all());
  const newItems = $derived.by(() => {
    if (!kept) return [];
    const known = kept.map(keyOf);
    return all().filter((item) => !known.includes(keyOf(item)));
  });

  $effect(() => {
    kept = mustPause ? untrack(() => kept ?? all()) : null;
  });
  $effect(() => {
    const latest = all();
    untrack(() => {
      if (kept) kept = replaceItems(kept, latest);
    });
  });
  // Kept items that are no longer among the latest change too.
  $effect(() => {
    if (isPolled) return;
    return live.onUpdate((update) => {
      if (kept) kept = updateItems(kept, update);
    });
  });

  return {
    get items() {
      return items;
    },
    get newItems() {
      return newItems;
    },
    /** Adds the new items. A `pinned` item stays even if it is no longer among the newest. */
    showNew(pinned: (item: T) => boolean = () => false) {
      const now = all();
      const known = now.map(keyOf);
      kept = [...now, ...items.filter((item) => pinned(item) && !known.includes(keyOf(item)))];
    },
    /** An attachment for the list's element, whether it scrolls itself or moves with the page. */
    watch(element: HTMLElement) {
      let timer: ReturnType<typeof setTimeout>;
      const hold = (ms: number) => {
        clearTimeout(timer);
        isAimedAt = ms > 0;
        timer = setTimeout(() => (isAimedAt = false), ms);
      };
      for (const type of ['enter', 'move', 'down', 'up', 'cancel', 'leave']) {
        element.addEventListener(`pointer${type}`, (event) => hold(holdAfter(event as PointerEvent)));
      }
      element.addEventListener('focusin', ({ target }) => (hasFocus = (target as Element).matches(':focus-visible')));
      element.addEventListener('focusout', () => (hasFocus = false));
      // After opening the page, people usually touch a row next.
      if (matchMedia('(hover: none)').matches) hold(TOUCH_MS);
      const update = () => {
        const headerBottom = document.querySelector('header.top')?.getBoundingClientRect().bottom ?? 0;
        isScrolled = element.scrollTop > 4 || element.getBoundingClientRect().top < headerBottom - 4;
      };
      element.addEventListener('scroll', update, { passive: true });
      addEventListener('scroll', update, { passive: true });
      addEventListener('resize', update);
      return () => {
        clearTimeout(timer);
        isAimedAt = hasFocus = false;
        removeEventListener('scroll', update);
        removeEventListener('resize', update);
      };
    },
  };
}
