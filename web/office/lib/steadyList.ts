/** A list that stands still while somebody reads it: rows change in place, and new ones wait. */
import { compareSales, keyOf } from './sales';
import type { SaleItem } from './types';

/** The rows that stay where they are. */
export type KeptRows = {
  keys: readonly string[];
  /** The oldest one, as it was. Rows after it, which the reader has asked for, are shown. */
  oldest: SaleItem | undefined;
};

export const keepRows = (sales: readonly SaleItem[]): KeptRows => ({ keys: sales.map(keyOf), oldest: sales.at(-1) });

export function arrangeRows(sales: readonly SaleItem[], kept: KeptRows | null): readonly SaleItem[] {
  if (kept === null) return sales;
  const { keys, oldest } = kept;
  const byKey = new Map(sales.map((sale) => [keyOf(sale), sale]));
  const known = new Set(keys);
  const still = keys.flatMap((key) => byKey.get(key) ?? []);
  const older = sales.filter((sale) => !known.has(keyOf(sale)) && oldest && compareSales(sale, oldest) > 0);
  return [...still, ...older];
}
