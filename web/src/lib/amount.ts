/** What people type as an amount: digits, and a comma or a point with at most two more. `null` for anything else, and for nothing. */
export function amountOf(typed: string): number | null {
  const text = typed.replace(/[\s\u00a0\u202f€]/g, '');
  if (!/^\d{1,9}([.,]\d{1,2})?$/.test(text)) return null;
  const amount = Number(text.replace(',', '.'));
  return amount > 0 ? amount : null;
}
