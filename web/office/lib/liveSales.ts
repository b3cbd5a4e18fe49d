/** Live events on top of the sales that the office has stored. */
import { isRead, type LiveEvent, type Positions } from './liveEvents';
import { compareSales, keyOf } from './sales';
import type { SaleItem } from './types';

type Stored = {
  rows: readonly SaleItem[];
  /** What the rows contain. */
  read: Positions;
  /** There are older sales. */
  hasMore: boolean;
  /** Whether a sale belongs to the list. */
  matches: (sale: SaleItem) => boolean;
};

export type Merged = {
  /** Newest first. */
  sales: readonly SaleItem[];
  /** Sales whose state only the database knows: another device than the one that created them has changed them. */
  doubtful: readonly SaleItem[];
};

export function mergeEvents({ rows, read, hasMore, matches }: Stored, events: readonly LiveEvent[]): Merged {
  const byKey = new Map(rows.map((row) => [keyOf(row), row]));
  const doubtful = new Map<string, SaleItem>();
  const oldest = rows.at(-1);
  let hasChanged = false;
  for (const event of events) {
    if (isRead(read, event)) continue;
    const { sale } = event;
    const key = keyOf(sale);
    const row = byKey.get(key);
    if (row ? row.device !== sale.device : mayBeLaterChange(sale)) {
      doubtful.set(key, sale);
    } else if (row && row.epoch === sale.epoch && row.number >= sale.number) {
      // A copy of an older event.
    } else if (matches(sale) && (row || !hasMore || !oldest || compareSales(sale, oldest) < 0)) {
      byKey.set(key, { ...sale, corrections: row?.corrections ?? 0 });
      hasChanged = true;
    } else if (row) {
      byKey.delete(key);
      hasChanged = true;
    }
  }
  const sales = hasChanged ? [...byKey.values()].sort(compareSales) : rows;
  return { sales, doubtful: [...doubtful.values()] };
}

/** Whether an event of a sale that is not in the list may change one that is not loaded, instead of adding one. */
const mayBeLaterChange = ({ kind, status }: SaleItem): boolean => kind !== 'payment' && status !== 'Pending';

/**
 * The rows after the first page was read again. Older rows stay if the page reaches them, so that nothing is missing in
 * between.
 */
export function replaceFirstPage(
  rows: readonly SaleItem[],
  page: readonly SaleItem[],
  isLast: boolean,
): { rows: readonly SaleItem[]; isContinuous: boolean } {
  const last = page.at(-1);
  const newest = rows[0];
  if (isLast || !last || !newest) return { rows: page, isContinuous: false };
  const keys = new Set(page.map(keyOf));
  if (!rows.some((row) => keys.has(keyOf(row)))) return { rows: page, isContinuous: false };
  const older = rows.filter((row) => !keys.has(keyOf(row)) && compareSales(row, last) > 0);
  return { rows: [...page, ...older], isContinuous: older.length > 0 };
}
