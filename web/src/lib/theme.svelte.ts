import { loadPreference, savePreference } from './preferences';

export const THEMES = ['system', 'light', 'dark'] as const;
export type ThemeChoice = (typeof THEMES)[number];

class Theme {
  choice = $state<ThemeChoice>(loadPreference('theme', THEMES) ?? 'system');
  #isSystemDark = $state(false);
  readonly isDark = $derived(this.choice === 'system' ? this.#isSystemDark : this.choice === 'dark');

  constructor() {
    const media = matchMedia('(prefers-color-scheme: dark)');
    this.#isSystemDark = media.matches;
    media.addEventListener('change', () => (this.#isSystemDark = media.matches));
  }

  choose(choice: ThemeChoice): void {
    this.choice = choice;
    savePreference('theme', choice);
  }
}

export const theme = new Theme();
