import type { Failure } from './failure';

export type Toast = { id: number; tone: 'good' | 'bad' | 'plain'; text: string; details?: string };

/** Long enough to be read across a counter. A failure stays longer: it asks for something to be done. */
const DURATION_MS = { good: 4000, plain: 6000, bad: 8000 };
const MAX_TOASTS = 3;

class Toasts {
  all = $state<Toast[]>([]);
  #nextId = 1;

  showFailure({ text, details }: Failure): void {
    this.show('bad', text, details);
  }

  /** Shows a toast. It replaces one with the same text. */
  show(tone: Toast['tone'], text: string, details?: string): void {
    const toast: Toast = { id: this.#nextId++, tone, text, ...(details === undefined ? {} : { details }) };
    this.all = [...this.all.filter((other) => other.text !== text), toast].slice(-MAX_TOASTS);
    setTimeout(() => this.dismiss(toast.id), DURATION_MS[tone]);
  }

  clear(): void {
    this.all = [];
  }

  dismiss(id: number): void {
    this.all = this.all.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
