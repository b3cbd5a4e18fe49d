/** A list as a CSV file, with the columns of the real gateway that tests read. */
const COLUMNS: Record<string, readonly string[]> = {
  '/api/orders': ['order_id', 'timestamp', 'status', 'amount', 'currency', 'customer_name'],
  '/api/payments': ['payment_id', 'order_id', 'timestamp', 'status', 'method', 'amount', 'currency', 'refund_of'],
  '/api/deliveries': ['delivery_id', 'order_id', 'timestamp', 'status', 'address'],
};

export const hasFile = (path: string): boolean => path in COLUMNS;

/** French spreadsheets expect semicolons and decimal commas. */
export function writeFile(path: string, items: readonly Record<string, unknown>[], isFrench: boolean): string {
  const columns = COLUMNS[path] ?? [];
  const cell = (value: unknown) => {
    const text = typeof value === 'number' && isFrench ? String(value).replace('.', ',') : String(value ?? '');
    return /[";,\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [columns, ...items.map((item) => columns.map((name) => cell(item[name])))];
  return `\ufeff${lines.map((line) => `${line.join(isFrench ? ';' : ',')}\r\n`).join('')}`;
}
