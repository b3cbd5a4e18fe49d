/**
 * Parses an amount as people type it: digits, then optionally a comma or a point and at most as many decimals as the
 * currency has. Returns `null` for anything else, and for zero.
 */
export function parseAmount(input: string, decimals = 2): number | null {
  const text = input.replace(/[\s\u00a0\u202f]|\p{Sc}/gu, '');
  const format = new RegExp(decimals === 0 ? '^\\d{1,12}$' : `^\\d{1,12}([.,]\\d{1,${decimals}})?$`);
  if (!format.test(text)) return null;
  const amount = Number(text.replace(',', '.'));
  return amount > 0 ? amount : null;
}
