/** The reader's language and region. Each program's pages have texts of their own beside the common ones. */
import { now } from '../now.svelte';
import { loadPreference, savePreference } from '../preferences';
import { en, type CommonMessages } from './common/en';
import { fr } from './common/fr';
import { createFormats, type Formats } from './format';

const LANGUAGES = ['en', 'fr'] as const;
export type Language = (typeof LANGUAGES)[number];

const common: Record<Language, CommonMessages> = { en, fr };
const defaultLocale: Record<Language, string> = { en: 'en-GB', fr: 'fr-FR' };

/** The first of the browser's languages that the pages support, or English. */
function pickLanguage(tags: readonly string[]): Language {
  for (const tag of tags) {
    const language = LANGUAGES.find((known) => known === tag.slice(0, 2).toLowerCase());
    if (language) return language;
  }
  return 'en';
}

class Localisation {
  language = $state<Language>(loadPreference('lang', LANGUAGES) ?? pickLanguage(navigator.languages));
  /** The browser's own region if it has the chosen language: numbers look different in Belgium or Canada. */
  readonly locale = $derived(
    navigator.languages.find((tag) => tag.toLowerCase().startsWith(`${this.language}-`)) ??
      defaultLocale[this.language],
  );
  readonly common: CommonMessages = $derived(common[this.language]);
  readonly f: Formats = $derived(createFormats(this.locale, () => new Date(now.day)));

  choose(language: Language): void {
    this.language = language;
    savePreference('lang', language);
  }
}

export const localisation = new Localisation();
