/** "Auto-generate" belongs to the tab, not to a page: it goes on when another page is opened, and ends with the tab. */
import { api } from './api/http';
import { notStored } from './failure';
import { i18n } from './i18n/i18n.svelte';
import { toasts } from './toasts.svelte';

class AutoGenerate {
  running = $state(false);
  #metronome: Worker | undefined;
  #failing = false;

  toggle(): void {
    this.running = !this.running;
    this.#metronome?.terminate();
    this.#metronome = undefined;
    if (!this.running) return;
    this.#failing = false;
    this.#metronome = new Worker(new URL('./metronome.worker.ts', import.meta.url), { type: 'module' });
    this.#metronome.onmessage = () => void this.#one();
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
