import { localisation, type Language } from '../localisation.svelte';
import { en, type DayMessages } from './en';
import { fr } from './fr';

const messages: Record<Language, DayMessages> = { en, fr };

/** The texts in the reader's language. */
class DayTexts {
  readonly t: DayMessages = $derived(messages[localisation.language]);
}

export const dayTexts = new DayTexts();
