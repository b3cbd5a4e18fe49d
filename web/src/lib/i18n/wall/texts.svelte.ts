import { localisation, type Language } from '../localisation.svelte';
import { en, type WallMessages } from './en';
import { fr } from './fr';

const messages: Record<Language, WallMessages> = { en, fr };

/** The texts in the reader's language. */
class WallTexts {
  readonly t: WallMessages = $derived(messages[localisation.language]);
}

export const wallTexts = new WallTexts();
