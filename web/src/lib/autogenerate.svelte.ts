/** "Auto-generate" belongs to the tab, not to a page: it keeps running on other pages and ends with the tab. */
import { api } from './api/http';
import { describeStoreFailure } from './failure';
import { i18n } from './i18n/i18n.svelte';
import { toasts } from './toasts.svelte';

class AutoGenerate {
  isRunning = $state(false);
  #metronome: Worker | undefined;
  #isFailing = false;

  toggle(): void {
    this.isRunning = !this.isRunning;
    this.#metronome?.terminate();
    this.#metronome = undefined;
    if (!this.isRunning) return;
    this.#isFailing = false;
    this.#metronome = new Worker(new URL('./metronome.worker.ts', import.meta.url), { type: 'module' });
    this.#metronome.onmessage = () => void this.#createOrder();
    void this.#createOrder();
  }

  stop(): void {
    if (this.isRunning) this.toggle();
  }

  async #createOrder(): Promise<void> {
    try {
      await api.createOrder();
      this.#isFailing = false;
    } catch (error) {
      // One toast per outage, not one every two seconds: the status bar shows the outage all the time.
      if (!this.#isFailing) toasts.showFailure(describeStoreFailure(error, i18n.m.orders.notCreated, i18n.m));
      this.#isFailing = true;
    }
  }
}

export const autoGenerate = new AutoGenerate();
