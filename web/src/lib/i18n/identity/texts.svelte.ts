import { localisation, type Language } from '../localisation.svelte';
import { en, type IdentityMessages } from './en';
import { fr } from './fr';

const messages: Record<Language, IdentityMessages> = { en, fr };

/** The texts of sign-in and identity in the reader's language. */
class IdentityTexts {
  readonly t: IdentityMessages = $derived(messages[localisation.language]);
}

export const identityTexts = new IdentityTexts();
