import { remember, remembered } from './remembered';

export type Choice = 'system' | 'light' | 'dark';
const CHOICES = ['system', 'light', 'dark'] as const;

class Theme {
  choice = $state<Choice>(remembered('theme', CHOICES) ?? 'system');
  #system = $state(false);
  readonly dark = $derived(this.choice === 'system' ? this.#system : this.choice === 'dark');

  constructor() {
    const media = matchMedia('(prefers-color-scheme: dark)');
    this.#system = media.matches;
    media.addEventListener('change', () => (this.#system = media.matches));
  }

  choose(choice: Choice): void {
    this.choice = choice;
    remember('theme', choice);
  }
}

export const theme = new Theme();
