/**
 * Detects a dead connection, for example when Wi-Fi drops out: nothing closes it, and the page goes stale. The gateway
 * sends `alive` every four seconds; a connection that stays silent for ten is dead.
 */
const TIMEOUT_MS = 10_000;

export class HeartbeatMonitor {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isArmed = false;
  readonly #onTimeout: () => void;

  constructor(onTimeout: () => void) {
    this.#onTimeout = onTimeout;
  }

  /**
   * Called at each heartbeat. A gateway that sends none, such as an older version after a downgrade, never times out.
   */
  arm() {
    this.#isArmed = true;
    this.reset();
  }

  /** Restarts the timeout when something arrives. */
  reset() {
    if (!this.#isArmed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onTimeout, TIMEOUT_MS);
  }

  /** Stops the timeout when the connection is closed. */
  disarm() {
    this.#isArmed = false;
    clearTimeout(this.#timer);
  }
}
