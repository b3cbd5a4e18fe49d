/**
 * Writes each order that arrives live to the browser's console, for somebody who presents the demo. It is what the
 * gateway has sent to this session, which leaves out what the role may not see.
 */
import { live } from './live/store.svelte';
import type { LiveUpdate } from './live/reducer';
import type { Order } from './api/types';

/** More at once are a flood: nobody could read the lines, and each costs time. */
const MAX_LINES = 10;

function ordersOf(update: LiveUpdate): readonly Order[] {
  if (update.type === 'batch') return update.batch.orders;
  const isOrder = update.type === 'item' && !('payment_id' in update.item) && !('delivery_id' in update.item);
  return isOrder ? [update.item as Order] : [];
}

/** Returns the function that ends it. */
export function logNewOrders(): () => void {
  return live.onUpdate((update) => {
    const orders = ordersOf(update);
    const shown = orders.length > MAX_LINES ? 1 : orders.length;
    for (const order of orders.slice(0, shown)) console.log('new_order received:', order);
    if (orders.length > shown) console.log(`new_order received: ${orders.length - shown} more`);
  });
}
