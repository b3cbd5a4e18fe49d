/**
 * Validates rows before they are shown. The gateway sends only valid rows, but one bad row must not blank a page for
 * everybody, so invalid rows are left out.
 */
import type { Delivery, Line, Order, Payment } from '../api/types';

type Fields = Record<string, unknown>;

const isText = (value: unknown): value is string => typeof value === 'string';
const isId = (value: unknown): value is string => isText(value) && value !== '';
const isTextOrNothing = (value: unknown): boolean => isText(value) || value === null || value === undefined;
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

function hasCommonFields(row: unknown): row is Fields {
  return (
    isObject(row) && [row.status, row.timestamp, row.store, row.device, row.ce_id].every(isText) && isId(row.order_id)
  );
}

export const isLine = (line: unknown): line is Line =>
  isObject(line) && isText(line.product) && isNumber(line.quantity) && isNumber(line.unit_price);

export const isOrder = (row: unknown): row is Order =>
  hasCommonFields(row) &&
  isText(row.customer_name) &&
  isText(row.product) &&
  isNumber(row.amount) &&
  isText(row.currency) &&
  Array.isArray(row.lines) &&
  row.lines.every(isLine);

export const isPayment = (row: unknown): row is Payment =>
  hasCommonFields(row) && isId(row.payment_id) && isText(row.method) && isNumber(row.amount) && isText(row.currency);

export const isDelivery = (row: unknown): row is Delivery =>
  hasCommonFields(row) && isId(row.delivery_id) && isTextOrNothing(row.address) && isText(row.estimated_date);

type Lists = { orders: Order[]; payments: Payment[]; deliveries: Delivery[] };

/** The same lists without the rows that cannot be shown. */
export function showable<T extends Lists>(lists: T): T {
  return {
    ...lists,
    orders: lists.orders.filter(isOrder),
    payments: lists.payments.filter(isPayment),
    deliveries: lists.deliveries.filter(isDelivery),
  };
}
