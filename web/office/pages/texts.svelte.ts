/** The texts of the pages that are downloaded on demand, in the reader's language. */
import { localisation, type Language } from '../../src/lib/i18n/localisation.svelte';
import { en, type PageMessages } from './en';
import { fr } from './fr';

const messages: Record<Language, PageMessages> = { en, fr };

class PageTexts {
  readonly m: PageMessages = $derived(messages[localisation.language]);
}

export const pageTexts = new PageTexts();
