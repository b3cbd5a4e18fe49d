/** Views of the shop without e-mails and addresses, for the roles that do not need them. */
import type { Batch, Delivery, InitialData, Order } from '../src/lib/api/types';

const hideInOrder = (order: Order) => ({ ...order, customer_email: null, address: null });
const hideInDelivery = (delivery: Delivery) => ({ ...delivery, address: null });

/** Hides personal data in a snapshot or a batch. */
export function hidePersonalData(view: InitialData | Batch): unknown {
  return { ...view, orders: view.orders.map(hideInOrder), deliveries: view.deliveries.map(hideInDelivery) };
}

/** Hides personal data in an API response: a list of orders or deliveries, or an order with its deliveries. */
export function hideInAnswer(path: string, body: unknown): unknown {
  if (path === '/api/orders') {
    const { items, ...page } = body as { items: Order[] };
    return { ...page, items: items.map(hideInOrder) };
  }
  if (path === '/api/deliveries') {
    const { items, ...page } = body as { items: Delivery[] };
    return { ...page, items: items.map(hideInDelivery) };
  }
  if (path.startsWith('/api/orders/')) {
    const { order, deliveries, ...rest } = body as { order: Order | null; deliveries: Delivery[] };
    return { ...rest, order: order && hideInOrder(order), deliveries: deliveries.map(hideInDelivery) };
  }
  return body;
}
