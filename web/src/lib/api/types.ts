// Made from gateway/src/dashboard/dto.rs by `make types`. Do not change it here.

export type Kind = "order" | "payment" | "delivery";

export type OrderStatus = "Pending" | "Processing" | "Completed" | "Cancelled";

export type PaymentMethod = "Credit Card" | "Debit Card" | "PayPal" | "Bank Transfer" | "Cash";

export type PaymentStatus = "SUCCESS" | "FAILED";

export type DeliveryStatus = "Pending" | "In Transit" | "Delivered";

export type Origin = "local" | "kafka";

export type Whereabouts = { 
/**
 * Names the event that brought this state: `{store}/{device}/{epoch}/{seq}`.
 */
ce_id: string, origin: Origin, 
/**
 * It is in Kafka.
 */
confirmed: boolean, 
/**
 * Its place in the order in which all were first seen; a later state of the same keeps it. Missing only in the
 * answer to a `POST`.
 */
row?: number, 
/**
 * Of local ones: its place in this gateway's journal.
 */
journal_offset?: number, 
/**
 * In Kafka, once it was read back.
 */
partition?: number, offset?: number, };

export type Line = { product: string, quantity: number, unit_price: number, };

export type Order = { order_id: string, customer_name: string, customer_email?: string, 
/**
 * Sums up the lines, for people.
 */
product: string, lines: Array<Line>, amount: number, currency: string, status: OrderStatus, address?: string, timestamp: string, store: string, device: string, 
/**
 * Names the event that brought this state: `{store}/{device}/{epoch}/{seq}`.
 */
ce_id: string, origin: Origin, 
/**
 * It is in Kafka.
 */
confirmed: boolean, 
/**
 * Its place in the order in which all were first seen; a later state of the same keeps it. Missing only in the
 * answer to a `POST`.
 */
row?: number, 
/**
 * Of local ones: its place in this gateway's journal.
 */
journal_offset?: number, 
/**
 * In Kafka, once it was read back.
 */
partition?: number, offset?: number, };

export type Payment = { payment_id: string, order_id: string, amount: number, currency: string, method: PaymentMethod, status: PaymentStatus, timestamp: string, store: string, device: string, 
/**
 * Names the event that brought this state: `{store}/{device}/{epoch}/{seq}`.
 */
ce_id: string, origin: Origin, 
/**
 * It is in Kafka.
 */
confirmed: boolean, 
/**
 * Its place in the order in which all were first seen; a later state of the same keeps it. Missing only in the
 * answer to a `POST`.
 */
row?: number, 
/**
 * Of local ones: its place in this gateway's journal.
 */
journal_offset?: number, 
/**
 * In Kafka, once it was read back.
 */
partition?: number, offset?: number, };

export type Delivery = { delivery_id: string, order_id: string, address: string, status: DeliveryStatus, 
/**
 * `YYYY-MM-DD`.
 */
estimated_date: string, timestamp: string, store: string, device: string, 
/**
 * Names the event that brought this state: `{store}/{device}/{epoch}/{seq}`.
 */
ce_id: string, origin: Origin, 
/**
 * It is in Kafka.
 */
confirmed: boolean, 
/**
 * Its place in the order in which all were first seen; a later state of the same keeps it. Missing only in the
 * answer to a `POST`.
 */
row?: number, 
/**
 * Of local ones: its place in this gateway's journal.
 */
journal_offset?: number, 
/**
 * In Kafka, once it was read back.
 */
partition?: number, offset?: number, };

export type Page<T> = { items: Array<T>, 
/**
 * Give it as `cursor` for the next page; null on the last one.
 */
next_cursor: string | null, };

export type OrderLife = { 
/**
 * Null if only what belongs to it is known.
 */
order: Order | null, payments: Array<Payment>, deliveries: Array<Delivery>, };

export type Quarters = { orders: [number, number, number, number], success_payments: [number, number, number, number], failed_payments: [number, number, number, number], deliveries: [number, number, number, number], revenue: [number, number, number, number], };

export type Hour = { 
/**
 * Its beginning.
 */
hour: string, orders: number, success_payments: number, failed_payments: number, deliveries: number, revenue: number, quarters: Quarters, };

export type Stats = { total_orders: number, total_payments: number, success_payments: number, failed_payments: number, total_deliveries: number, 
/**
 * Of successful payments in the shop's currency.
 */
total_revenue: number, currency: string, 
/**
 * Per cent, 0 to 100.
 */
payment_success_rate: number, 
/**
 * By the hour of UTC in which it happened, oldest first, of at least the last three days; hours without anything are
 * left out.
 */
orders_per_hour: Array<Hour>, };

export type LinkState = "up" | "down" | "off";

export type Link = { state: LinkState, since: string, problem?: string, 
/**
 * What works less well than it should while the link is up, one sentence each.
 */
warnings?: Array<string>, };

export type JournalStatus = { 
/**
 * Kept here, in Kafka or not.
 */
events: number, 
/**
 * Not yet in Kafka.
 */
pending: number, oldest_pending: string | null, bytes: number, max_bytes: number, 
/**
 * True while nothing is accepted: full, or the disk does not work.
 */
refusing: boolean, first_offset: number, last_offset: number, 
/**
 * Everything at or below it is in Kafka.
 */
watermark: number, duplicates: number, 
/**
 * Events that were acked and have since been lost, because the journal's files were damaged or not copied whole. Each
 * epoch of a device says which.
 */
lost: number, };

export type ClockState = "synchronised" | "unsynchronised" | "unknown";

export type ClockJump = { 
/**
 * By the clock as it is set now.
 */
at: string, 
/**
 * By so much; backwards if negative.
 */
seconds: number, };

export type Clock = { state: ClockState, 
/**
 * When it was set last, within the last 24 hours.
 */
jump?: ClockJump, };

export type Partition = { topic: string, partition: number, 
/**
 * The next offset to be read back; never beyond `end`.
 */
position: number, end?: number, lag?: number, };

export type GatewayStatus = { store: string, version: string, 
/**
 * Kafka is in memory and can be taken down by `POST /api/demo/kafka`.
 */
demo: boolean, mqtt: Link, kafka: Link, 
/**
 * The transactional producer, journal → Kafka.
 */
bridge: Link, 
/**
 * To Kafka's topic of commands.
 */
commands: Link, clock: Clock, journal: JournalStatus, 
/**
 * Under which the topics are read back; null without Kafka.
 */
consumer_group: string | null, partitions: Array<Partition>, dead_letters: number, };

export type Epoch = { epoch: number, 
/**
 * The highest number that came.
 */
received: number, stored: number, in_kafka: number, 
/**
 * Numbers that the terminal no longer holds and that never came here: another gateway has acked them, or they are
 * lost. Of an epoch that was known here they are `missing`, too.
 */
elsewhere: number, 
/**
 * Inclusive ranges of numbers whose events are not here.
 */
missing: Array<[number, number]>, 
/**
 * Of those missing, the ones that were acked and then lost with a part of the journal's files. They are taken if they
 * are sent again.
 */
lost: Array<[number, number]>, };

export type Device = { store: string, device: string, 
/**
 * What its status topic says; null if it never said.
 */
online: boolean | null, epochs: Array<Epoch>, received: number, stored: number, in_kafka: number, 
/**
 * Inclusive ranges of numbers that never came, of the latest epochs.
 */
missing: Array<[number, number]>, 
/**
 * Events that came under a number that the till had used for another sale. They are kept, numbered by the gateway.
 */
reused: number, };

export type BacklogPoint = { at: string, pending: number, };

export type Gateway = { devices: Array<Device>, 
/**
 * The last hour's, oldest first.
 */
backlog: Array<BacklogPoint>, 
/**
 * What is wrong with the present settings: with any of it, the last good ones are in force.
 */
settings_problems: Array<SettingsProblem>, store: string, version: string, 
/**
 * Kafka is in memory and can be taken down by `POST /api/demo/kafka`.
 */
demo: boolean, mqtt: Link, kafka: Link, 
/**
 * The transactional producer, journal → Kafka.
 */
bridge: Link, 
/**
 * To Kafka's topic of commands.
 */
commands: Link, clock: Clock, journal: JournalStatus, 
/**
 * Under which the topics are read back; null without Kafka.
 */
consumer_group: string | null, partitions: Array<Partition>, dead_letters: number, };

export type SettingsProblem = { 
/**
 * The file, or "the environment".
 */
place?: string, 
/**
 * `journal.max_bytes`; none where the file cannot be read at all.
 */
key?: string, message: string, };

export type DeadLetter = { offset: number, ce_id: string, 
/**
 * The MQTT topic on which it came.
 */
topic: string, reason: string, received: string, 
/**
 * When it was taken in after all.
 */
retried: string | null, bytes: number, 
/**
 * Base64, whole.
 */
payload: string, };

export type Retried = { ce_id: string, };

export type DemoKafka = { up: boolean, };

export type ProblemType = "urn:comptoir:problem:malformed-path" | "urn:comptoir:problem:malformed-json" | "urn:comptoir:problem:unreadable-body" | "urn:comptoir:problem:body-timeout" | "urn:comptoir:problem:body-too-large" | "urn:comptoir:problem:unsupported-media-type" | "urn:comptoir:problem:password-required" | "urn:comptoir:problem:cross-site-request" | "urn:comptoir:problem:https-required" | "urn:comptoir:problem:not-found" | "urn:comptoir:problem:order-not-found" | "urn:comptoir:problem:dead-letter-not-found" | "urn:comptoir:problem:demo-only" | "urn:comptoir:problem:method-not-allowed" | "urn:comptoir:problem:invalid-field" | "urn:comptoir:problem:invalid-parameter" | "urn:comptoir:problem:invalid-cursor" | "urn:comptoir:problem:dead-letter-undecodable" | "urn:comptoir:problem:dead-letter-already-stored" | "urn:comptoir:problem:journal-full" | "urn:comptoir:problem:journal-write-failed" | "urn:comptoir:problem:too-many-devices" | "urn:comptoir:problem:outcome-unknown" | "urn:comptoir:problem:read-failed" | "urn:comptoir:problem:answer-timeout" | "urn:comptoir:problem:shutting-down" | "urn:comptoir:problem:not-ready" | "urn:comptoir:problem:internal-error";

export type Stored = "no" | "unknown";

export type Problem = { type: ProblemType, 
/**
 * Names the type, for people.
 */
title: string, status: number, 
/**
 * What failed, why, and what to do, for people: its words may change.
 */
detail: string, stored: Stored, 
/**
 * The path of the field that is wrong, as in `lines[2].unit_price`.
 */
field?: string, };

export type Auth = { 
/**
 * Sends `batch` instead of one packet for each event, and `alive` every four seconds.
 */
batch: boolean, 
/**
 * The `journal_offset` of the last event that the client has: later ones of this gateway are sent, in order,
 * after `initial_data`, as far as the journal still has them. Not for `batch`. To be said anew at each
 * reconnection: without it, what was missed comes only as far as it is in `initial_data`.
 */
after?: number, };

export type Confirmed = { kind: Kind, ce_id: string, order_id: string, partition: number, offset: number, };

export type InitialData = { 
/**
 * The newest first, at most 50 of each.
 */
orders: Array<Order>, payments: Array<Payment>, deliveries: Array<Delivery>, stats: Stats, gateway: GatewayStatus, };

export type Batch = { 
/**
 * Oldest first.
 */
orders: Array<Order>, payments: Array<Payment>, deliveries: Array<Delivery>, confirmed: Array<Confirmed>, stats: Stats | null, gateway: GatewayStatus | null, };

export const PROBLEMS: Record<ProblemType, { title: string, status: number, stored: Stored, retry_after: number | null, }> = {
  "urn:comptoir:problem:malformed-path": {"retry_after":null,"status":400,"stored":"no","title":"Malformed path"},
  "urn:comptoir:problem:malformed-json": {"retry_after":null,"status":400,"stored":"no","title":"Malformed JSON"},
  "urn:comptoir:problem:unreadable-body": {"retry_after":null,"status":400,"stored":"no","title":"Unreadable request body"},
  "urn:comptoir:problem:body-timeout": {"retry_after":null,"status":408,"stored":"no","title":"The request body did not arrive in time"},
  "urn:comptoir:problem:body-too-large": {"retry_after":null,"status":413,"stored":"no","title":"The request body is too large"},
  "urn:comptoir:problem:unsupported-media-type": {"retry_after":null,"status":415,"stored":"no","title":"Unsupported media type"},
  "urn:comptoir:problem:password-required": {"retry_after":null,"status":401,"stored":"no","title":"Password required"},
  "urn:comptoir:problem:cross-site-request": {"retry_after":null,"status":403,"stored":"no","title":"Cross-site request"},
  "urn:comptoir:problem:https-required": {"retry_after":null,"status":403,"stored":"no","title":"HTTPS required"},
  "urn:comptoir:problem:not-found": {"retry_after":null,"status":404,"stored":"no","title":"Not found"},
  "urn:comptoir:problem:order-not-found": {"retry_after":null,"status":404,"stored":"no","title":"Order not found"},
  "urn:comptoir:problem:dead-letter-not-found": {"retry_after":null,"status":404,"stored":"no","title":"Dead letter not found"},
  "urn:comptoir:problem:demo-only": {"retry_after":null,"status":404,"stored":"no","title":"Only in the demonstration"},
  "urn:comptoir:problem:method-not-allowed": {"retry_after":null,"status":405,"stored":"no","title":"Method not allowed"},
  "urn:comptoir:problem:invalid-field": {"retry_after":null,"status":422,"stored":"no","title":"Invalid field"},
  "urn:comptoir:problem:invalid-parameter": {"retry_after":null,"status":422,"stored":"no","title":"Invalid parameter"},
  "urn:comptoir:problem:invalid-cursor": {"retry_after":null,"status":422,"stored":"no","title":"Invalid cursor"},
  "urn:comptoir:problem:dead-letter-undecodable": {"retry_after":null,"status":422,"stored":"no","title":"The dead letter still cannot be decoded"},
  "urn:comptoir:problem:dead-letter-already-stored": {"retry_after":null,"status":409,"stored":"no","title":"The dead letter is already stored"},
  "urn:comptoir:problem:journal-full": {"retry_after":5,"status":503,"stored":"no","title":"The journal is full"},
  "urn:comptoir:problem:journal-write-failed": {"retry_after":5,"status":503,"stored":"no","title":"The journal could not be written"},
  "urn:comptoir:problem:too-many-devices": {"retry_after":null,"status":503,"stored":"no","title":"Too many devices"},
  "urn:comptoir:problem:outcome-unknown": {"retry_after":5,"status":503,"stored":"unknown","title":"The outcome is unknown"},
  "urn:comptoir:problem:read-failed": {"retry_after":5,"status":503,"stored":"no","title":"Stored events could not be read"},
  "urn:comptoir:problem:answer-timeout": {"retry_after":5,"status":503,"stored":"no","title":"The gateway did not answer in time"},
  "urn:comptoir:problem:shutting-down": {"retry_after":5,"status":503,"stored":"no","title":"The gateway is shutting down"},
  "urn:comptoir:problem:not-ready": {"retry_after":null,"status":503,"stored":"no","title":"Not ready"},
  "urn:comptoir:problem:internal-error": {"retry_after":null,"status":500,"stored":"unknown","title":"Internal error"},
};

/** Decimals of the currencies that have other than two. */
export const DECIMALS: Readonly<Record<string, number>> = { BHD: 3, BIF: 0, CLF: 4, CLP: 0, DJF: 0, GNF: 0, IQD: 3, ISK: 0, JOD: 3, JPY: 0, KMF: 0, KRW: 0, KWD: 3, LYD: 3, OMR: 3, PYG: 0, RWF: 0, TND: 3, UGX: 0, UYI: 0, UYW: 4, VND: 0, VUV: 0, XAF: 0, XAG: 0, XAU: 0, XBA: 0, XBB: 0, XBC: 0, XBD: 0, XDR: 0, XOF: 0, XPD: 0, XPF: 0, XPT: 0, XSU: 0, XTS: 0, XUA: 0, XXX: 0 };
