import { now } from '../now.svelte';
import { remember, remembered } from '../remembered';
import { en, type Messages } from './en';
import { formatsOf, type Formats } from './format';
import { fr } from './fr';

export type Lang = 'en' | 'fr';

const messages: Record<Lang, Messages> = { en, fr };
const fallback: Record<Lang, string> = { en: 'en-GB', fr: 'fr-FR' };

/** The first of the browser's languages that the pages speak. */
export function preferred(languages: readonly string[]): Lang {
  for (const tag of languages) {
    const lang = tag.slice(0, 2).toLowerCase();
    if (lang === 'fr' || lang === 'en') return lang;
  }
  return 'en';
}

class I18n {
  lang = $state<Lang>(remembered('lang', ['en', 'fr'] as const) ?? preferred(navigator.languages));
  /** The browser's own region where it fits: a Belgian or a Canadian writes numbers differently. */
  readonly locale = $derived(navigator.languages.find((tag) => tag.toLowerCase().startsWith(`${this.lang}-`)) ?? fallback[this.lang]);
  readonly m: Messages = $derived(messages[this.lang]);
  readonly f: Formats = $derived(formatsOf(this.locale, () => new Date(now.day)));

  choose(lang: Lang): void {
    this.lang = lang;
    remember('lang', lang);
  }
}

export const i18n = new I18n();
