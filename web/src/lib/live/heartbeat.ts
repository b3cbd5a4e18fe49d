/**
 * Detects a dead connection, such as Wi-Fi behind a wall: nothing closes it, and the page goes stale. The gateway sends
 * `alive` every four seconds; a connection that stays silent for ten is dead.
 */
const TIMEOUT_MS = 10_000;

export class HeartbeatMonitor {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isArmed = false;
  readonly #onTimeout: () => void;

  constructor(onTimeout: () => void) {
    this.#onTimeout = onTimeout;
  }

  /** The gateway sends heartbeats. One that never does, such as an older version after a downgrade, may stay silent. */
  arm() {
    this.#isArmed = true;
    this.reset();
  }

  /** Something arrived: the timeout starts again. */
  reset() {
    if (!this.#isArmed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onTimeout, TIMEOUT_MS);
  }

  /** The connection is closed: there is nothing to wait for. */
  disarm() {
    this.#isArmed = false;
    clearTimeout(this.#timer);
  }
}
