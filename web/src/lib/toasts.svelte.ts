import type { Failure } from './failure';

export type Toast = { id: number; tone: 'good' | 'bad' | 'plain'; text: string; details?: string };

/** Long enough to be read across a counter; a failure longer, it asks for something. */
const LASTS_MS = { good: 4000, plain: 6000, bad: 8000 };
const AT_MOST = 3;

class Toasts {
  all = $state<Toast[]>([]);
  #next = 1;

  failed({ text, details }: Failure): void {
    this.say('bad', text, details);
  }

  say(tone: Toast['tone'], text: string, details?: string): void {
    const id = this.#next++;
    // The same sentence twice says nothing new: it only starts its time anew.
    this.all = [...this.all.filter((t) => t.text !== text), { id, tone, text, ...(details === undefined ? {} : { details }) }].slice(-AT_MOST);
    setTimeout(() => this.dismiss(id), LASTS_MS[tone]);
  }

  dismiss(id: number): void {
    this.all = this.all.filter((t) => t.id !== id);
  }
}

export const toasts = new Toasts();
