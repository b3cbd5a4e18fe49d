import { localisation, type Language } from '../../../src/lib/i18n/localisation.svelte';
import { createAges, type Ages } from '../ages';
import { en, type OfficeMessages } from './en';
import { fr } from './fr';

const messages: Record<Language, OfficeMessages> = { en, fr };

/** The texts of the office's page in the reader's language, and the times that only this page shows. */
class OfficeTexts {
  readonly t: OfficeMessages = $derived(messages[localisation.language]);
  readonly ages: Ages = $derived(createAges(localisation.locale));
}

export const officeTexts = new OfficeTexts();
