/**
 * Reloads the page after an update of the gateway. A page on a wall screen stays open for weeks and outlives the
 * gateway that served it. It reloads once that interrupts nobody: no form is half-filled (a field with `data-view` only
 * chooses what is shown), no row is open, and auto-generate is off.
 */
import { autoGenerate } from './autogenerate.svelte';
import { connection } from './live/connection.svelte';
import { now } from './now.svelte';
import { session } from './session.svelte';

const KEY = 'comptoir.renewed';
/** A file that is still missing after a reload may be missing for good: the page does not reload again for this long. */
const MIN_INTERVAL_MS = 600_000;

/** A page that has no connection because nobody is signed in may reload, too: a wall screen has no keyboard. */
const isReachable = () => connection.state === 'live' || (session.state !== null && !session.mayConnect);
const isIdle = () =>
  !autoGenerate.isRunning &&
  document.querySelector('main [aria-expanded="true"]') === null &&
  [...document.querySelectorAll<HTMLInputElement>('main input:not([type=radio], [data-view])')].every(
    (input) => input.value === '',
  );

class PageReload {
  /** The gateway now serves different files from those that this page was loaded from. */
  isDue = $state(false);

  /** Reloads the page if it is due and nobody is interrupted. Call it in an effect, which runs at every clock tick. */
  reloadIfIdle(): void {
    if (!this.isDue || !isReachable() || now.at.getTime() === 0 || !isIdle()) return;
    try {
      if (Date.now() - Number(sessionStorage.getItem(KEY)) < MIN_INTERVAL_MS) return;
      sessionStorage.setItem(KEY, String(Date.now()));
    } catch {
      // Without storage, the page cannot know whether it has already reloaded.
      return;
    }
    location.reload();
  }
}

export const pageReload = new PageReload();
addEventListener('vite:preloadError', () => (pageReload.isDue = true));
