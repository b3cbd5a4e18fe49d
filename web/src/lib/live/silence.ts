/**
 * A link that has died without a word, as Wi-Fi does behind a wall: nothing closes it, and what it shows is no longer true. The
 * gateway says `alive` every four seconds; where nothing at all came for ten, nothing will.
 */
const LONGEST_MS = 10_000;

export class Silence {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #promised = false;
  readonly #over: () => void;

  constructor(over: () => void) {
    this.#over = over;
  }

  /** The gateway will go on speaking. One of before, after a way back from an update, never says so, and may be silent. */
  promised() {
    this.#promised = true;
    this.heard();
  }

  heard() {
    if (!this.#promised) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#over, LONGEST_MS);
  }

  /** The link is closed: there is nothing to wait for. */
  closed() {
    this.#promised = false;
    clearTimeout(this.#timer);
  }
}
