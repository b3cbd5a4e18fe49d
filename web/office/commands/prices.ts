/** A price list while it is written: rows of texts, from the keyboard or from a CSV file. */

/** The limits of the wire format of the tills. */
export const MAX_PRICES = 256;
export const MAX_PRODUCT_BYTES = 64;
export const MAX_MESSAGE_BYTES = 256;
/** As in the office: more is a typing error. */
const MAX_PRICE = 10_000_000_000;

export type PriceRow = {
  /** Tells the row from the others, also after one is removed. */
  key: number;
  product: string;
  price: string;
};

export type RowError = {
  product?: 'noProduct' | 'longProduct' | 'twice';
  price?: 'noPrice' | 'price';
};

export const countBytes = (text: string): number => new TextEncoder().encode(text).length;

const isEmpty = ({ product, price }: PriceRow): boolean => product.trim() === '' && price.trim() === '';

/** The price as a number with at most `decimals` decimals, or `null`. Both `1,05` and `1.05` are read. */
export function parsePrice(text: string, decimals: number): number | null {
  const plain = text.replace(/[\s\u00a0\u202f]/g, '').replace(/(\p{Sc}|[A-Z]{3})$/u, '');
  const match = /^(\d{1,11})(?:[.,](\d+))?$/.exec(plain);
  if (!match || (match[2]?.length ?? 0) > decimals) return null;
  const price = Number(`${match[1]}.${match[2] ?? '0'}`);
  return price <= MAX_PRICE ? price : null;
}

/** What is wrong with each row, in the order of the rows. Rows without any text are ignored. */
export function checkRows(rows: readonly PriceRow[], decimals: number): RowError[] {
  const names = new Set<string>();
  return rows.map((row) => {
    if (isEmpty(row)) return {};
    const error: RowError = {};
    const product = row.product.trim();
    if (product === '') error.product = 'noProduct';
    else if (countBytes(product) > MAX_PRODUCT_BYTES) error.product = 'longProduct';
    else if (names.has(product)) error.product = 'twice';
    names.add(product);
    if (row.price.trim() === '') error.price = 'noPrice';
    else if (parsePrice(row.price, decimals) === null) error.price = 'price';
    return error;
  });
}

export const hasError = (error: RowError): boolean => error.product !== undefined || error.price !== undefined;

/** The prices of the rows, which have no errors. */
export const toPrices = (rows: readonly PriceRow[], decimals: number): { product: string; unit_price: number }[] =>
  rows
    .filter((row) => !isEmpty(row))
    .map(({ product, price }) => ({ product: product.trim(), unit_price: parsePrice(price, decimals) ?? 0 }));

/** The cells of a line. A cell in quotes may have separators and doubled quotes. */
function splitLine(line: string, separator: string): string[] {
  const cells: string[] = [];
  let cell = '';
  let isQuoted = false;
  for (let i = 0; i < line.length; i += 1) {
    const char = line.charAt(i);
    if (char === '"' && isQuoted && line.charAt(i + 1) === '"') {
      cell += '"';
      i += 1;
    } else if (char === '"' && (isQuoted || cell === '')) isQuoted = !isQuoted;
    else if (char === separator && !isQuoted) {
      cells.push(cell);
      cell = '';
    } else cell += char;
  }
  return [...cells, cell].map((text) => text.trim());
}

/** Reads product and price from lines of a spreadsheet or a CSV file. A first line without a digit is a heading. */
export function parseCsv(text: string): { product: string; price: string }[] {
  const lines = text
    .replace(/^\ufeff/, '')
    .split(/\r\n|\r|\n/)
    .filter((line) => line.trim() !== '');
  // A decimal comma must not separate.
  const separator = ['\t', ';', ','].find((candidate) => text.includes(candidate)) ?? ';';
  const rows = lines.map((line) => {
    const [product = '', ...others] = splitLine(line, separator);
    return { product, price: others[0] ?? '' };
  });
  const first = rows[0];
  const isHeading = rows.length > 1 && first !== undefined && !/\d/.test(first.price);
  return isHeading ? rows.slice(1) : rows;
}
