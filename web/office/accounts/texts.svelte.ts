/** The texts of the pages of accounts, in the reader's language. */
import { localisation, type Language } from '../../src/lib/i18n/localisation.svelte';
import { en, type AccountMessages } from './en';
import { fr } from './fr';

const messages: Record<Language, AccountMessages> = { en, fr };
/** Longer lists of shops are shown as a number. */
const MAX_NAMES = 3;

class AccountTexts {
  readonly t: AccountMessages = $derived(messages[localisation.language]);

  readonly describeShops = $derived((shops: readonly string[] | null): string => {
    if (shops === null) return this.t.shops.all;
    return shops.length > MAX_NAMES ? this.t.shops.count(shops.length) : shops.join(', ');
  });
}

export const accountTexts = new AccountTexts();
