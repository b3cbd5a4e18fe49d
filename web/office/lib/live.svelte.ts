/** The page's live connection: one for the whole page, for the shop that is shown, or for all. */
import { untrack } from 'svelte';
import { advance, parseEvent, type LiveEvent, type Positions, type Reload } from './liveEvents';

export type LiveListener = {
  onEvent: (event: LiveEvent) => void;
  /** Earlier events must be read. */
  onReload?: (reload: Reload) => void;
};

class Live {
  /** Whether every event arrives. */
  isLive = $state(false);
  readonly #listeners = new Set<LiveListener>();
  /** From here on, every event arrives. */
  #sent: Positions = {};

  listen(listener: LiveListener): () => void {
    this.#listeners.add(listener);
    untrack(() => {
      if (this.isLive) listener.onReload?.({ restart: false, sent: this.#sent });
    });
    return () => this.#listeners.delete(listener);
  }

  /** `store`: the shop whose sales to get, or `''` for all. */
  open(store: string): () => void {
    let close: (() => void) | null = null;
    let isClosed = false;
    const connect = async () => {
      const { openSocket } = await import('./liveSocket');
      if (isClosed) return;
      close = openSocket(store, {
        onReload: (reload) => this.#reload(reload),
        onMessage: (name, data) => this.#receive(name, data),
        onDisconnect: () => (this.isLive = false),
      });
    };
    // Without it, the page is read again every now and then.
    connect().catch(() => (this.isLive = false));
    return () => {
      isClosed = true;
      this.isLive = false;
      close?.();
    };
  }

  #reload(reload: Reload): void {
    this.#sent = reload.sent;
    this.isLive = true;
    for (const listener of this.#listeners) listener.onReload?.(reload);
  }

  #receive(name: string, data: unknown): void {
    const event = parseEvent(name, data);
    if (!event) return;
    this.#sent = advance(this.#sent, event);
    for (const listener of this.#listeners) listener.onEvent(event);
  }
}

export const live = new Live();
