/** "Auto-generate" belongs to the tab, not to a page: it goes on when another page is opened, and ends with the tab. */
import { api } from './api/http';
import { notStored } from './failure';
import { i18n } from './i18n/i18n.svelte';
import { toasts } from './toasts.svelte';

const EVERY_MS = 2000;

class AutoGenerate {
  running = $state(false);
  #timer: ReturnType<typeof setInterval> | undefined;
  #failing = false;

  toggle(): void {
    this.running = !this.running;
    clearInterval(this.#timer);
    if (!this.running) return;
    this.#failing = false;
    this.#timer = setInterval(() => void this.#one(), EVERY_MS);
    void this.#one();
  }

  async #one(): Promise<void> {
    try {
      await api.createOrder();
      this.#failing = false;
    } catch (error) {
      // Said once, not every two seconds: the bar at the top says it all along.
      if (!this.#failing) toasts.failed(notStored(error, i18n.m.orders.notCreated, i18n.m));
      this.#failing = true;
    }
  }
}

export const autoGenerate = new AutoGenerate();
