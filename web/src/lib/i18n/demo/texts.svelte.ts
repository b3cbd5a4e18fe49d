import { localisation, type Language } from '../localisation.svelte';
import { en, type DemoMessages } from './en';
import { fr } from './fr';

const messages: Record<Language, DemoMessages> = { en, fr };

/** The texts in the reader's language. */
class DemoTexts {
  readonly t: DemoMessages = $derived(messages[localisation.language]);
}

export const demoTexts = new DemoTexts();
