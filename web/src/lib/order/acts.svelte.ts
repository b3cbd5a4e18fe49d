/**
 * What a person does with an order. One request at a time: whatever is pressed meanwhile sends nothing. A payment or a
 * refund gets its id before it is sent. If its answer is missing, it is kept, also across a reload, until it is sent
 * again unchanged, has arrived, or is given up.
 */
import { RequestError, post } from '../api/http';
import type { Delivery, DeliveryStatus, Order, OrderStatus, Payment } from '../api/types';
import { drafts } from '../drafts';
import { newId } from '../id';
import type { Item } from '../live/reducer';

export type PaymentBody = Pick<Payment, 'payment_id' | 'order_id' | 'amount' | 'currency' | 'method'> &
  Partial<Pick<Payment, 'refund_of' | 'status' | 'device'>>;

export class OrderActs {
  isBusy = $state(false);
  /** A payment or refund whose answer is missing. */
  unanswered = $state.raw<PaymentBody | null>(null);
  readonly #orderId: string;
  readonly #apply: (item: Item) => void;
  readonly #draft: string;
  /** A delivery that is sent again unchanged keeps its id. */
  #delivery = { form: '', id: '' };

  constructor(orderId: string, apply: (item: Item) => void) {
    this.#orderId = orderId;
    this.#apply = apply;
    this.#draft = `order ${orderId}`;
    this.unanswered = drafts.get<PaymentBody | null>(this.#draft) ?? null;
  }

  /** `null` if something is already being sent. */
  async pay(body: Omit<PaymentBody, 'payment_id'> & { payment_id?: string }): Promise<Payment | null> {
    const whole: PaymentBody = { payment_id: newId('p'), ...body };
    return this.#once(async () => {
      // Kept before it is sent: the answer may come after the reader has left the page, or never.
      this.#keep(whole);
      try {
        const payment = await this.#send<Payment>('/api/payments', whole);
        this.#keep(null);
        return payment;
      } catch (error) {
        if (error instanceof RequestError && error.isNotStored) this.#keep(null);
        throw error;
      }
    });
  }

  /** The payment has arrived, or is given up. */
  forget(): void {
    this.#keep(null);
  }

  setOrderStatus(status: OrderStatus): Promise<Order | null> {
    return this.#once(() => this.#send<Order>('/api/orders', { order_id: this.#orderId, status }));
  }

  setDeliveryStatus({ delivery_id }: Delivery, status: DeliveryStatus): Promise<Delivery | null> {
    const body = { delivery_id, order_id: this.#orderId, status };
    return this.#once(() => this.#send<Delivery>('/api/deliveries', body));
  }

  createDelivery(fields: { address: string; estimated_date: string }): Promise<Delivery | null> {
    const form = JSON.stringify(fields);
    if (this.#delivery.form !== form) this.#delivery = { form, id: newId('d') };
    const body = { delivery_id: this.#delivery.id, order_id: this.#orderId, status: 'Pending', ...fields };
    return this.#once(() => this.#send<Delivery>('/api/deliveries', body));
  }

  async #send<T extends Item>(path: string, body: unknown): Promise<T> {
    const item = await post<T>(path, body);
    this.#apply(item);
    return item;
  }

  async #once<T>(send: () => Promise<T>): Promise<T | null> {
    if (this.isBusy) return null;
    this.isBusy = true;
    try {
      return await send();
    } finally {
      this.isBusy = false;
    }
  }

  #keep(body: PaymentBody | null): void {
    this.unanswered = body;
    drafts.save(this.#draft, body);
  }
}
