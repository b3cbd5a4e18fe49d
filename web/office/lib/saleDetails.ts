/** What the gateway wrote about a sale, made ready to be shown. It may be of a later version: nothing is taken for granted. */
import type { Line } from '../../src/lib/api/types';
import { isLine } from '../../src/lib/live/showable';

const TEXTS = ['customer_name', 'customer_email', 'address', 'method', 'estimated_date', 'product'] as const;
type TextField = (typeof TEXTS)[number];

export type SaleDetails = {
  texts: Partial<Record<TextField, string>>;
  lines: readonly Line[];
  /** What this version does not know, as JSON. */
  others: readonly { name: string; json: string }[];
};

/** The row has them already. */
const IN_ROW = [
  'order_id',
  'payment_id',
  'delivery_id',
  'status',
  'timestamp',
  'store',
  'device',
  'amount',
  'currency',
];
/** Of unknown fields, and of the characters of one. A value may have 512 KiB. */
const MAX_OTHERS = 20;
const MAX_JSON = 500;

export function describeValue(value: unknown): SaleDetails {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { texts: {}, lines: [], others: [{ name: '', json: shorten(value) }] };
  }
  const fields = new Map(Object.entries(value));
  const take = <T>(name: string, isShowable: (field: unknown) => field is T): T | undefined => {
    const field: unknown = fields.get(name);
    // A field that is absent, or that was erased.
    if (field === null || field === '') fields.delete(name);
    if (!isShowable(field)) return undefined;
    fields.delete(name);
    return field;
  };
  const texts: SaleDetails['texts'] = {};
  for (const name of TEXTS) {
    const text = take(name, isText);
    if (text !== undefined) texts[name] = text;
  }
  const lines = take('lines', isLines) ?? [];
  // A summary of the lines.
  if (lines.length > 0) delete texts.product;
  IN_ROW.forEach((name) => fields.delete(name));
  const others = [...fields].slice(0, MAX_OTHERS).map(([name, field]) => ({ name, json: shorten(field) }));
  return { texts, lines, others };
}

const isText = (field: unknown): field is string => typeof field === 'string' && field !== '';
const isLines = (field: unknown): field is Line[] => Array.isArray(field) && field.every(isLine);

function shorten(field: unknown): string {
  // `undefined` has no JSON.
  const json = (JSON.stringify(field) as string | undefined) ?? '';
  return json.length > MAX_JSON ? `${json.slice(0, MAX_JSON)}…` : json;
}
