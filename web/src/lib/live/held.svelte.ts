/**
 * A list that stands still while somebody reads it: with a row open, or scrolled away from its top, what is new waits until it is
 * asked for. What is shown goes on living: states and statuses change in place.
 */
import { untrack } from 'svelte';
import { follow, type Activity } from './reducer';
import { live } from './store.svelte';

type Held<T> = {
  all: () => readonly T[];
  into: (item: T) => Activity;
  from: (entry: Activity) => T;
  /** Beside scrolling: something else that holds the list, as an open row does. */
  busy?: () => boolean;
};

const keyOf = (entry: Activity) => entry.key;

export function held<T>({ all, into, from, busy = () => false }: Held<T>) {
  let kept = $state.raw<readonly Activity[] | null>(null);
  let scrolled = $state(false);
  const holding = $derived(live.shown.ready && (scrolled || busy()));
  const list = $derived(kept ? kept.map(from) : all());
  const waiting = $derived.by(() => {
    if (!kept) return [];
    const known = kept.map(keyOf);
    return all().filter((item) => !known.includes(keyOf(into(item))));
  });

  $effect(() => {
    kept = holding ? untrack(() => kept ?? all().map(into)) : null;
  });
  $effect(() =>
    live.follow((change) => {
      if (kept) kept = follow(kept, change);
    }),
  );

  return {
    get list() {
      return list;
    },
    get waiting() {
      return waiting;
    },
    get holding() {
      return kept !== null;
    },
    /** Lets in what waits. `pinned` stays even where it would be too old by now. */
    release(pinned: (item: T) => boolean = () => false) {
      const now = all();
      const known = now.map((item) => keyOf(into(item)));
      const old = list.filter((item) => pinned(item) && !known.includes(keyOf(into(item))));
      kept = [...now, ...old].map(into);
    },
    /** Attached to the element that scrolls, or that is scrolled away with the page. */
    watch(element: HTMLElement) {
      const look = () => {
        const head = document.querySelector('header.top')?.getBoundingClientRect().bottom ?? 0;
        scrolled = element.scrollTop > 4 || element.getBoundingClientRect().top < head - 4;
      };
      element.addEventListener('scroll', look, { passive: true });
      addEventListener('scroll', look, { passive: true });
      addEventListener('resize', look);
      return () => {
        element.removeEventListener('scroll', look);
        removeEventListener('scroll', look);
        removeEventListener('resize', look);
      };
    },
  };
}
