import { once } from './once';

/** One text per plural category of CLDR; `#` is the number. `zero` is for no number at all, where a sentence of its own reads better. */
export type Forms = { zero?: string; one: string; many?: string; other: string };

export function counted(locale: string): (count: number, forms: Forms) => string {
  const rules = once(() => new Intl.PluralRules(locale));
  const number = once(() => new Intl.NumberFormat(locale));
  return (count, forms) => {
    const category = count === 0 && forms.zero !== undefined ? 'zero' : rules().select(count);
    const form = forms[category as keyof Forms] ?? forms.other;
    return form.replace('#', number().format(count));
  };
}
