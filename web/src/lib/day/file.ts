/**
 * The figures of a day as a CSV file: one figure a line, so that a spreadsheet can filter and sum them. French spreadsheets
 * expect semicolons and decimal commas.
 */
import type { ShopDay } from '../api/types';

/** ASCII, and the full-width forms that spreadsheets take for them. */
const FORMULA = /[=+\-@＝＋－＠]/;
const SEPARATOR = /[;,\t\r\n]/;

/** As the gateway does in its files (`spreadsheet.rs`): a spreadsheet would execute a text that begins like a formula. */
export function escapeFormulas(text: string): string {
  let escaped = '';
  let isStart = true;
  for (const c of text) {
    if (isStart && FORMULA.test(c)) escaped += "'";
    escaped += c;
    // Spaces, quotation marks and invisible characters before a formula do not stop every spreadsheet.
    isStart = SEPARATOR.test(c) || (isStart && /[\s"'\p{Cf}]/u.test(c));
  }
  return escaped;
}

type Cell = string | number | null | undefined;

const COLUMNS = ['date', 'section', 'name', 'unit', 'count', 'quantity', 'amount', 'vat', 'currency'] as const;
type Row = Partial<Record<(typeof COLUMNS)[number], Cell>>;

export type FileTexts = {
  methodName: (method: string) => string;
  deviceName: (device: string) => string;
};

function rowsOf(day: ShopDay, { methodName, deviceName }: FileTexts): Row[] {
  const { takings, orders } = day;
  const takingsRow = (section: string, name: string, t: { payments: number; net: number }): Row => ({
    section,
    name,
    count: t.payments,
    amount: t.net,
  });
  return [
    { section: 'takings', name: 'payments', count: takings.payments, amount: takings.gross },
    {
      section: 'takings',
      name: 'refunds',
      count: takings.refunds,
      amount: takings.refunded === 0 ? 0 : -takings.refunded,
    },
    { section: 'takings', name: 'net', amount: takings.net },
    { section: 'takings', name: 'failed', count: takings.failed },
    { section: 'orders', name: 'orders', count: orders.orders, amount: orders.amount },
    { section: 'orders', name: 'cancelled', count: orders.cancelled, amount: orders.cancelled_amount },
    ...day.by_method.map((row) => takingsRow('method', methodName(row.method), row)),
    ...day.by_till.map((row) => takingsRow('till', deviceName(row.device), row)),
    ...day.by_vat_rate.map(({ vat_rate, amount, vat }): Row => ({
      section: 'vat',
      name: vat_rate === null ? '' : vat_rate,
      amount,
      vat,
    })),
    ...day.by_product.map(({ product, unit, quantity, amount }): Row => ({
      section: 'product',
      name: product,
      unit,
      quantity,
      amount,
    })),
    ...(day.other_products.products === 0
      ? []
      : [{ section: 'other products', count: day.other_products.products, amount: day.other_products.amount }]),
    ...day.by_hour.map(({ hour, payments, net }): Row => ({
      section: 'hour',
      name: hour,
      count: payments,
      amount: net,
    })),
    ...day.other_currencies.map(({ currency, net }): Row => ({
      section: 'other currency',
      name: 'net',
      amount: net,
      currency,
    })),
  ];
}

/** The contents of the file. It begins with a byte order mark, without which a spreadsheet may take it for Latin-1. */
export function writeDay(day: ShopDay, texts: FileTexts, isFrench: boolean): string {
  const cell = (value: Cell) => {
    if (typeof value === 'number') return isFrench ? String(value).replace('.', ',') : String(value);
    const text = escapeFormulas(value ?? '');
    return /[";,\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const separator = isFrench ? ';' : ',';
  const lines = rowsOf(day, texts).map((row) => {
    const whole: Row = { date: day.date, currency: day.currency, ...row };
    return COLUMNS.map((name) => whole[name]);
  });
  return `\ufeff${[[...COLUMNS], ...lines].map((line) => `${line.map(cell).join(separator)}\r\n`).join('')}`;
}
