import { lazy } from './lazy';

/**
 * One text per CLDR plural category; `#` stands for the number. `zero` is used for exactly 0, where a sentence of its
 * own reads better.
 */
export type PluralForms = { zero?: string; one: string; many?: string; other: string };

export function createPluralizer(locale: string): (count: number, forms: PluralForms) => string {
  const rules = lazy(() => new Intl.PluralRules(locale));
  const number = lazy(() => new Intl.NumberFormat(locale));
  return (count, forms) => {
    const category = count === 0 && forms.zero !== undefined ? 'zero' : rules().select(count);
    const form = forms[category as keyof PluralForms] ?? forms.other;
    return form.replace('#', number().format(count));
  };
}
