/**
 * A page on the wall stays open for weeks and outlives the gateway that served it. After an update it loads itself anew, once nobody
 * would lose anything by it: a half-filled form, an open row, the orders that it makes.
 */
import { autoGenerate } from './autogenerate.svelte';
import { connection } from './live/connection.svelte';
import { now } from './now.svelte';

const KEY = 'comptoir.renewed';
/** A file that is still missing after loading anew is missing for good: once is enough. */
const AGAIN_MS = 600_000;

const idle = () =>
  !autoGenerate.running &&
  document.querySelector('main [aria-expanded="true"]') === null &&
  [...document.querySelectorAll<HTMLInputElement>('main input:not([type=radio])')].every((input) => input.value === '');

class Renewal {
  /** The gateway has other files by now. */
  due = $state(false);

  /** To be called in an effect: runs with the clock. */
  watch(): void {
    if (!this.due || connection.contact !== 'live' || now.at.getTime() === 0 || !idle()) return;
    this.due = false;
    try {
      if (Date.now() - Number(sessionStorage.getItem(KEY)) < AGAIN_MS) return;
      sessionStorage.setItem(KEY, String(Date.now()));
    } catch {
      // Without storage it cannot be known whether it was tried already.
      return;
    }
    location.reload();
  }
}

export const renewal = new Renewal();
addEventListener('vite:preloadError', () => (renewal.due = true));
