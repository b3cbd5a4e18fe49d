/** The texts and formats of the gateway's pages in the reader's language. */
import { en, type Messages } from './en';
import { fr } from './fr';
import type { Formats } from './format';
import { localisation, type Language } from './localisation.svelte';

const messages: Record<Language, Messages> = { en, fr };

class I18n {
  readonly m: Messages = $derived(messages[localisation.language]);

  get f(): Formats {
    return localisation.f;
  }
}

export const i18n = new I18n();
