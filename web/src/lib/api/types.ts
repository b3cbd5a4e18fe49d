export type Kind = "order" | "payment" | "delivery";
export type OrderStatus = "Pending" | "Processing" | "Completed" | "Cancelled";
export type PaymentMethod = "Credit Card" | "Debit Card" | "PayPal" | "Bank Transfer" | "Cash";
export type PaymentStatus = "SUCCESS" | "FAILED";
export type DeliveryStatus = "Pending" | "In Transit" | "Delivered";

/** Where an event is. Part of each item. */
export type Whereabouts = {
  /** {store}/{device}/{epoch}/{seq}: names the event that brought this state */
  ce_id: string;
  /** local: stored by this gateway; kafka: another's, read from Kafka */
  origin: "local" | "kafka";
  /** it is in Kafka */
  confirmed: boolean;
  /** of local ones: place in this gateway's journal */
  journal_offset?: number;
  /** in Kafka, once read back */
  partition?: number;
  offset?: number;
};
export type Line = { product: string; quantity: number; unit_price: number };
export type Order = {
  order_id: string; customer_name: string; customer_email?: string; product: string; lines: Line[];
  amount: number; currency: string; status: OrderStatus; address?: string; timestamp: string; store: string; device: string;
} & Whereabouts;
export type Payment = {
  payment_id: string; order_id: string; amount: number; currency: string; method: PaymentMethod;
  status: PaymentStatus; timestamp: string; store: string; device: string;
} & Whereabouts;
export type Delivery = {
  delivery_id: string; order_id: string; address: string; status: DeliveryStatus; estimated_date: string;
  timestamp: string; store: string; device: string;
} & Whereabouts;

export type Page<T> = { items: T[]; next_cursor: string | null };
/** One hour (UTC instants; the last 72 h, hours without anything left out). By the time the events say. */
export type Hour = { hour: string; orders: number; success_payments: number; failed_payments: number; deliveries: number; revenue: number };
export type Stats = {
  total_orders: number; total_payments: number; success_payments: number; failed_payments: number;
  total_deliveries: number; total_revenue: number; currency: string; payment_success_rate: number; orders_per_hour: Hour[];
};

export type Link = { state: "up" | "down" | "off"; since: string; problem?: string };
export type JournalStatus = {
  events: number; pending: number; oldest_pending: string | null; bytes: number; max_bytes: number;
  refusing: boolean; first_offset: number; last_offset: number; watermark: number; duplicates: number;
};
export type Partition = { topic: string; partition: number; position: number; end?: number; lag?: number };
/** The part of GET /api/gateway that is pushed. */
export type GatewayStatus = {
  store: string; version: string; demo: boolean; mqtt: Link; kafka: Link; bridge: Link;
  journal: JournalStatus; consumer_group: string | null; partitions: Partition[]; dead_letters: number;
};
export type Epoch = { epoch: number; received: number; stored: number; in_kafka: number; elsewhere: number; missing: [number, number][] };
export type Device = {
  store: string; device: string; online: boolean | null; epochs: Epoch[]; received: number; stored: number;
  in_kafka: number; missing: [number, number][];
};
export type BacklogPoint = { at: string; pending: number };
export type Gateway = GatewayStatus & { devices: Device[]; backlog: BacklogPoint[] };

/** GET /api/orders/{order_id}: an order's life. Each list oldest first. 404 if it is not known. */
export type OrderLife = { order: Order | null; payments: Payment[]; deliveries: Delivery[] };

export type DeadLetter = {
  offset: number; ce_id: string; topic: string; reason: string; received: string; retried: string | null; bytes: number; payload: string;
};

export type InitialData = {
  orders: Order[]; payments: Payment[]; deliveries: Delivery[]; stats: Stats; gateway: GatewayStatus; cursor: string;
};
export type Confirmed = { kind: Kind; id: string; ce_id: string; partition: number; offset: number };
export type Batch = {
  orders: Order[]; payments: Payment[]; deliveries: Delivery[]; confirmed: Confirmed[];
  stats: Stats | null; gateway: GatewayStatus | null; cursor: string;
};
/** application/problem+json (RFC 9457). 422 names the field. 503 has Retry-After (journal full). */
export type Problem = { type: string; title: string; status: number; detail: string; field?: string };
