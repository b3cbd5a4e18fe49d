/** What people type as an amount: digits, and a comma or a point with as many more as the currency has. `null` for anything else, and for nothing. */
export function amountOf(typed: string, decimals = 2): number | null {
  const text = typed.replace(/[\s\u00a0\u202f]|\p{Sc}/gu, '');
  if (!new RegExp(decimals === 0 ? '^\\d{1,12}$' : `^\\d{1,12}([.,]\\d{1,${decimals}})?$`).test(text)) return null;
  const amount = Number(text.replace(',', '.'));
  return amount > 0 ? amount : null;
}
