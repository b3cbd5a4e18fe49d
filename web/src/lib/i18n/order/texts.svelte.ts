import { localisation, type Language } from '../localisation.svelte';
import { en, type OrderMessages } from './en';
import { fr } from './fr';

const messages: Record<Language, OrderMessages> = { en, fr };

/** The texts of the page of one order in the reader's language. */
class OrderTexts {
  readonly t: OrderMessages = $derived(messages[localisation.language]);
}

export const orderTexts = new OrderTexts();
