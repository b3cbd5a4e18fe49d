/** What a new event must say where nothing is made up. */
import type { Kind } from '../src/lib/api/types';
import { problem, type Answer, type Body } from './answer';
import type { SimulatedGateway } from './gateway';

const REQUIRED: Record<Kind, readonly string[]> = {
  order: ['order_id', 'product', 'amount'],
  payment: ['status', 'payment_id', 'order_id', 'amount', 'method'],
  delivery: ['delivery_id', 'order_id', 'address', 'estimated_date'],
};

/** Refuses a new event of which a field is missing, unless the gateway makes it up. */
export function findMissing(gateway: SimulatedGateway, kind: Kind, body: Body): Answer | null {
  // A refund has the fields of the payment that it pays back.
  if (gateway.invents || (body['refund_of'] ?? null) !== null) return null;
  const { order_id, delivery_id, lines } = body;
  const isKnown =
    (kind === 'order' && gateway.orders.some((order) => order.order_id === order_id)) ||
    (kind === 'delivery' && gateway.deliveries.some((delivery) => delivery.delivery_id === delivery_id));
  if (isKnown) return null;
  const isMissing = (field: string) => (body[field] ?? null) === null && !(field === 'product' && Array.isArray(lines));
  const field = REQUIRED[kind].find(isMissing);
  return field === undefined ? null : problem('invalid-field', `${field}: missing`, field);
}
