/** Shows only the rows of a list that fit completely. */
import type { Attachment } from 'svelte/attachments';

/** How many rows end above `height`. `ends` are the lower edges of the rows, from the first to the last. */
export function countFitting(ends: readonly number[], height: number): number {
  // Browsers round positions: a row may seem to end a fraction of a pixel lower than it does.
  const cut = ends.findIndex((end) => end > height + 0.5);
  return cut < 0 ? ends.length : cut;
}

/**
 * Calls `show` with the number of rows that fit, whenever the size of the list, of its parent or of its rows changes.
 * The parent has the height that is available.
 */
export function fitRows(show: (count: number) => void): Attachment<HTMLElement> {
  return (list) => {
    const frame = list.parentElement;
    if (!frame) return;
    const measure = () => {
      const { top, height } = frame.getBoundingClientRect();
      const ends = [...list.children].map((row) => row.getBoundingClientRect().bottom - top);
      show(countFitting(ends, height));
    };
    // Before the next paint, also after a change of the rows.
    const sizes = new ResizeObserver(measure);
    sizes.observe(frame);
    sizes.observe(list);
    const rows = new MutationObserver(measure);
    rows.observe(list, { childList: true, characterData: true, subtree: true });
    return () => {
      sizes.disconnect();
      rows.disconnect();
    };
  };
}
