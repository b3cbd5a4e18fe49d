// Generated from gateway/src/http/api/dto by `make types`. Do not edit.

export type Kind = "order" | "payment" | "delivery";

export type OrderStatus = "Pending" | "Processing" | "Completed" | "Cancelled";

export type PaymentMethod = "Credit Card" | "Debit Card" | "PayPal" | "Bank Transfer" | "Cash";

export type PaymentStatus = "SUCCESS" | "FAILED";

export type DeliveryStatus = "Pending" | "In Transit" | "Delivered";

export type Origin = "local" | "kafka";

export type Whereabouts = { 
/**
 * The name of the latest event of this item: `{store}/{device}/{epoch}/{seq}`.
 */
ce_id: string, origin: Origin, 
/**
 * Whether the event is in Kafka.
 */
confirmed: boolean, 
/**
 * The item's position in the list, in the order of its first event: later states keep it. Absent only in the
 * response to a `POST`.
 */
row?: number, 
/**
 * The position in this gateway's journal. Only if `origin` is `local`.
 */
journal_offset?: number, 
/**
 * The partition in Kafka. Absent until it is known.
 */
partition?: number, 
/**
 * The offset in `partition`. Absent until it is known.
 */
offset?: number, 
/**
 * The number of changes by devices other than the creator of the order or delivery that were not, or not fully,
 * applied. Absent if there are none. `GET /api/orders/{order_id}` lists them.
 */
corrections?: number, };

export type Line = { product: string, 
/**
 * Number of pieces, or of the unit, with up to three decimals. 0 on receipts of tills that print no weight.
 */
quantity: number, 
/**
 * The unit of the quantity, such as `kg`. Absent for pieces.
 */
unit?: string, 
/**
 * The price of one piece or one unit, an exact decimal number in the order's currency.
 */
unit_price: number, 
/**
 * VAT in percent, included in the price.
 */
vat_rate?: number, 
/**
 * Taken off the price of the whole line.
 */
discount?: number, };

export type Order = { order_id: string, customer_name: string, customer_email?: string, 
/**
 * A summary of the lines for people: the first product and the number of others, for example `Croissant + 3`.
 */
product: string, lines: Array<Line>, 
/**
 * An exact decimal number with at most the decimals of the currency.
 */
amount: number, 
/**
 * ISO 4217.
 */
currency: string, status: OrderStatus, address?: string, 
/**
 * When it happened, RFC 3339 in UTC.
 */
timestamp: string, 
/**
 * The store in which it happened.
 */
store: string, 
/**
 * The till that sent it, or `counter`.
 */
device: string, 
/**
 * The name of the latest event of this item: `{store}/{device}/{epoch}/{seq}`.
 */
ce_id: string, origin: Origin, 
/**
 * Whether the event is in Kafka.
 */
confirmed: boolean, 
/**
 * The item's position in the list, in the order of its first event: later states keep it. Absent only in the
 * response to a `POST`.
 */
row?: number, 
/**
 * The position in this gateway's journal. Only if `origin` is `local`.
 */
journal_offset?: number, 
/**
 * The partition in Kafka. Absent until it is known.
 */
partition?: number, 
/**
 * The offset in `partition`. Absent until it is known.
 */
offset?: number, 
/**
 * The number of changes by devices other than the creator of the order or delivery that were not, or not fully,
 * applied. Absent if there are none. `GET /api/orders/{order_id}` lists them.
 */
corrections?: number, };

export type Payment = { payment_id: string, order_id: string, 
/**
 * The `payment_id` of the payment that is paid back. Absent for a payment that is not a refund.
 */
refund_of?: string, 
/**
 * An exact decimal number with at most the decimals of the currency. Negative for a refund.
 */
amount: number, 
/**
 * ISO 4217.
 */
currency: string, method: PaymentMethod, status: PaymentStatus, 
/**
 * When it happened, RFC 3339 in UTC.
 */
timestamp: string, 
/**
 * The store in which it happened.
 */
store: string, 
/**
 * The till that sent it, or `counter`.
 */
device: string, 
/**
 * The name of the latest event of this item: `{store}/{device}/{epoch}/{seq}`.
 */
ce_id: string, origin: Origin, 
/**
 * Whether the event is in Kafka.
 */
confirmed: boolean, 
/**
 * The item's position in the list, in the order of its first event: later states keep it. Absent only in the
 * response to a `POST`.
 */
row?: number, 
/**
 * The position in this gateway's journal. Only if `origin` is `local`.
 */
journal_offset?: number, 
/**
 * The partition in Kafka. Absent until it is known.
 */
partition?: number, 
/**
 * The offset in `partition`. Absent until it is known.
 */
offset?: number, 
/**
 * The number of changes by devices other than the creator of the order or delivery that were not, or not fully,
 * applied. Absent if there are none. `GET /api/orders/{order_id}` lists them.
 */
corrections?: number, };

export type Delivery = { delivery_id: string, order_id: string, 
/**
 * Null for a role that does not see personal data.
 */
address: string | null, status: DeliveryStatus, 
/**
 * `YYYY-MM-DD`.
 */
estimated_date: string, 
/**
 * When it happened, RFC 3339 in UTC.
 */
timestamp: string, 
/**
 * The store in which it happened.
 */
store: string, 
/**
 * The till that sent it, or `counter`.
 */
device: string, 
/**
 * The name of the latest event of this item: `{store}/{device}/{epoch}/{seq}`.
 */
ce_id: string, origin: Origin, 
/**
 * Whether the event is in Kafka.
 */
confirmed: boolean, 
/**
 * The item's position in the list, in the order of its first event: later states keep it. Absent only in the
 * response to a `POST`.
 */
row?: number, 
/**
 * The position in this gateway's journal. Only if `origin` is `local`.
 */
journal_offset?: number, 
/**
 * The partition in Kafka. Absent until it is known.
 */
partition?: number, 
/**
 * The offset in `partition`. Absent until it is known.
 */
offset?: number, 
/**
 * The number of changes by devices other than the creator of the order or delivery that were not, or not fully,
 * applied. Absent if there are none. `GET /api/orders/{order_id}` lists them.
 */
corrections?: number, };

export type Correction = { 
/**
 * Whether an order or a delivery was changed.
 */
kind: Kind, 
/**
 * The `order_id` or `delivery_id`.
 */
id: string, 
/**
 * The device that sent the change.
 */
device: string, 
/**
 * The status that it sent, if it differed.
 */
status?: string, 
/**
 * The amount that it sent for an order, if it differed. It was not applied.
 */
amount?: number, 
/**
 * The currency of `amount`.
 */
currency?: string, timestamp: string, 
/**
 * The position of the change in this gateway's journal.
 */
journal_offset: number, 
/**
 * Whether the status was applied. Other fields never are.
 */
applied: boolean, };

export type Page<T> = { items: Array<T>, 
/**
 * Send it as `cursor` to get the next page. Null on the last page.
 */
next_cursor: string | null, };

export type OrderLife = { 
/**
 * Null if the gateway knows only payments or deliveries of the order.
 */
order: Order | null, payments: Array<Payment>, deliveries: Array<Delivery>, 
/**
 * Changes of the order and its deliveries by devices other than their creators: the newest 100, oldest first.
 */
corrections: Array<Correction>, };

export type Quarters = { orders: [number, number, number, number], success_payments: [number, number, number, number], failed_payments: [number, number, number, number], deliveries: [number, number, number, number], revenue: [number, number, number, number], };

export type Hour = { 
/**
 * The start of the hour.
 */
hour: string, orders: number, success_payments: number, failed_payments: number, deliveries: number, revenue: number, quarters: Quarters, };

export type Stats = { total_orders: number, total_payments: number, success_payments: number, failed_payments: number, total_deliveries: number, 
/**
 * Successful payments less refunds in `currency`, an exact decimal number.
 */
total_revenue: number, 
/**
 * The shop's currency, an ISO 4217 code.
 */
currency: string, 
/**
 * The share of successful payments in percent, 0 to 100.
 */
payment_success_rate: number, 
/**
 * At least the last three days by hour, in UTC, oldest first. Hours without events are left out.
 */
orders_per_hour: Array<Hour>, };

export type LinkState = "up" | "down" | "off";

export type Link = { state: LinkState, 
/**
 * When the state last changed.
 */
since: string, 
/**
 * Why the peer cannot be reached, in a sentence for people.
 */
problem?: string, 
/**
 * What is restricted although the peer is up, one sentence each.
 */
warnings?: Array<string>, };

export type JournalStatus = { 
/**
 * Events in the journal, including those that are already in Kafka.
 */
events: number, 
/**
 * Events that are not yet in Kafka.
 */
pending: number, 
/**
 * The time of the oldest pending event.
 */
oldest_pending: string | null, 
/**
 * Bytes in use.
 */
bytes: number, 
/**
 * The limit of `bytes`: `journal.max_bytes`.
 */
max_bytes: number, 
/**
 * Whether the journal refuses all events, because it is full or its disk cannot be written.
 */
refusing: boolean, 
/**
 * The journal offset of the oldest entry.
 */
first_offset: number, 
/**
 * The journal offset of the newest entry.
 */
last_offset: number, 
/**
 * All entries up to this journal offset are in Kafka.
 */
watermark: number, 
/**
 * Events that arrived again and were not stored twice.
 */
duplicates: number, 
/**
 * Acknowledged events that were lost later, because the journal's files were damaged or copied incompletely. The
 * `lost` of each epoch in `devices` lists their numbers.
 */
lost: number, 
/**
 * All entries up to this journal offset are in an archive. Absent without `archive.path`.
 */
archived?: number, 
/**
 * Why no archive can be written, so that nothing is pruned: a sentence.
 */
archive_problem?: string, };

export type ClockState = "synchronised" | "unsynchronised" | "unknown";

export type ClockJump = { 
/**
 * When it happened, by the corrected clock.
 */
at: string, 
/**
 * The size of the step in seconds; negative if the clock was set back.
 */
seconds: number, };

export type Clock = { state: ClockState, 
/**
 * The last step of the clock. Absent if there was none in the last 24 hours.
 */
jump?: ClockJump, };

export type Partition = { topic: string, partition: number, 
/**
 * With `follow` = `all`, the next offset to read, at most `end`. With `follow` = `own`, the offset after the newest
 * event that this gateway has sent since its start.
 */
position: number, 
/**
 * The offset after the newest record. Only with `follow` = `all`.
 */
end?: number, 
/**
 * Records that are not read yet: `end` − `position`. Only with `follow` = `all`.
 */
lag?: number, };

export type Follow = "own" | "all";

export type Shops = { 
/**
 * The store of this gateway.
 */
own: string, 
/**
 * The stores of other gateways, sorted by name.
 */
others: Array<string>, };

export type GatewayStatus = { store: string, version: string, 
/**
 * Whether this is `gateway demo`: Kafka is in memory, and `POST /api/demo/kafka` can make it unreachable.
 */
demo: boolean, 
/**
 * Whether fields that a `POST` leaves out are invented: `demo.invent`.
 */
invent: boolean, mqtt: Link, kafka: Link, 
/**
 * The transactional producer, which sends the journal's entries to Kafka.
 */
bridge: Link, 
/**
 * The consumer of head office's commands.
 */
commands: Link, clock: Clock, journal: JournalStatus, follow: Follow, 
/**
 * The Kafka consumer group of the reader. Null without Kafka, and with `follow` = `own`.
 */
consumer_group: string | null, partitions: Array<Partition>, 
/**
 * Dead letters in the journal.
 */
dead_letters: number, };

export type Epoch = { epoch: number, 
/**
 * The highest number that arrived.
 */
received: number, 
/**
 * Events that the journal has stored, including those that it has pruned since.
 */
stored: number, 
/**
 * Stored events that are in Kafka.
 */
in_kafka: number, 
/**
 * Numbers that the till has deleted but that never arrived here: another gateway acknowledged them, or they are
 * lost. If this gateway already knew the epoch, `missing` lists them too.
 */
elsewhere: number, 
/**
 * Inclusive ranges of numbers whose events never arrived, for example `[[3, 5], [9, 9]]`.
 */
missing: Array<[number, number]>, 
/**
 * Those of the missing numbers that were acknowledged and later lost with a part of the journal's files. Their
 * events are stored if the till sends them again.
 */
lost: Array<[number, number]>, };

export type Device = { store: string, device: string, 
/**
 * What the till last published to its `status` topic. Null if it never did.
 */
online: boolean | null, epochs: Array<Epoch>, 
/**
 * The sum of `received` of the epochs.
 */
received: number, 
/**
 * The sum of `stored` of the epochs.
 */
stored: number, 
/**
 * The sum of `in_kafka` of the epochs.
 */
in_kafka: number, 
/**
 * Bytes of the journal used by events that are not in Kafka. At half of the journal, further events are refused.
 */
pending_bytes: number, 
/**
 * Inclusive ranges of numbers that never arrived, for example `[[3, 5], [9, 9]]`, in the latest epochs.
 */
missing: Array<[number, number]>, 
/**
 * Events whose number the till had already used for another sale. The gateway stored them under its own numbers.
 */
reused: number, };

export type RefusalReason = "devices" | "epochs" | "pending_bytes" | "dead_letters";

export type RefusedDevice = { store: string, device: string, reason: RefusalReason, 
/**
 * Refused events since `since`. An event that was sent again counts again.
 */
count: number, since: string, last: string, };

export type BacklogPoint = { at: string, pending: number, };

export type UplinkMode = "normal" | "metered";

export type Uplink = { mode: UplinkMode, 
/**
 * Seconds for which events are gathered: `kafka.uplink_delay`. Only with `mode` = `metered`.
 */
delay?: number, 
/**
 * When the count began: at midnight, or at a start of the gateway.
 */
since: string, 
/**
 * Bytes sent since then.
 */
sent_bytes: number, 
/**
 * Bytes received since then.
 */
received_bytes: number, 
/**
 * Events that got into Kafka since then.
 */
events: number, 
/**
 * Bytes that may be sent and received in a day: `kafka.uplink_budget`. Absent without a limit.
 */
budget?: number, 
/**
 * Whether the budget is nearly used up, so that only payments are sent until midnight.
 */
payments_only: boolean, };

export type Alerts = { 
/**
 * Whether a webhook is configured.
 */
webhook: boolean, 
/**
 * Number of recipients of mails.
 */
mail_recipients: number, 
/**
 * Messages that are not delivered yet. One for several receivers counts several times.
 */
waiting: number, 
/**
 * When a receiver last accepted a message.
 */
delivered?: string, 
/**
 * When an attempt to deliver a message last failed.
 */
failed?: string, };

export type Gateway = { devices: Array<Device>, 
/**
 * Devices whose events were refused within the last hour, most recent first.
 */
refused: Array<RefusedDevice>, 
/**
 * Pending events over the last hour, oldest first.
 */
backlog: Array<BacklogPoint>, 
/**
 * The connection to Kafka. Null without Kafka.
 */
uplink: Uplink | null, 
/**
 * The alerts. Null without a receiver.
 */
alerts: Alerts | null, 
/**
 * Errors in the current configuration. If there are any, the gateway runs with the last configuration that started.
 */
settings_problems: Array<SettingsProblem>, store: string, version: string, 
/**
 * Whether this is `gateway demo`: Kafka is in memory, and `POST /api/demo/kafka` can make it unreachable.
 */
demo: boolean, 
/**
 * Whether fields that a `POST` leaves out are invented: `demo.invent`.
 */
invent: boolean, mqtt: Link, kafka: Link, 
/**
 * The transactional producer, which sends the journal's entries to Kafka.
 */
bridge: Link, 
/**
 * The consumer of head office's commands.
 */
commands: Link, clock: Clock, journal: JournalStatus, follow: Follow, 
/**
 * The Kafka consumer group of the reader. Null without Kafka, and with `follow` = `own`.
 */
consumer_group: string | null, partitions: Array<Partition>, 
/**
 * Dead letters in the journal.
 */
dead_letters: number, };

export type SettingsProblem = { 
/**
 * Where the error is: a file, or "the environment".
 */
place?: string, 
/**
 * The key, for example `journal.max_bytes`. Absent if the whole file is unreadable.
 */
key?: string, 
/**
 * What is wrong and what is accepted, for people.
 */
message: string, };

export type DeadLetterCause = "unknown_topic" | "wrong_topic" | "unknown_format" | "unknown_version" | "too_large" | "not_json" | "malformed_frame" | "invalid_field" | "other";

export type DeadLetter = { 
/**
 * The journal offset, which identifies the dead letter.
 */
offset: number, 
/**
 * The event name under which it is stored, `{store}/{device}/{epoch}/{seq}`.
 */
ce_id: string, 
/**
 * The MQTT topic of the message. A list shortens it to 512 characters.
 */
topic: string, cause: DeadLetterCause, 
/**
 * The path of the invalid field, for example `lines[2].unit_price`. Only with the cause `invalid_field`.
 */
field?: string, 
/**
 * The cause in a sentence for people. The wording may change. A list shortens it to 512 characters.
 */
reason: string, received: string, 
/**
 * When a retry decoded and stored the event. Null if none did.
 */
retried: string | null, 
/**
 * The length of the complete payload in bytes.
 */
bytes: number, 
/**
 * The payload in Base64. A list has only the first 512 bytes; `GET /api/dead-letters/{offset}` has all.
 */
payload: string, };

export type Retried = { 
/**
 * The event's name, `{store}/{device}/{epoch}/{seq}`.
 */
ce_id: string, };

export type DemoKafka = { up: boolean, };

export type ForgottenDevice = { 
/**
 * Epochs without a stored event, which were removed.
 */
removed_epochs: number, 
/**
 * Epochs whose numbers are kept, so that an event that is sent again is not stored twice. They use no memory.
 */
dormant_epochs: number, 
/**
 * Epochs that are unchanged, because some of their events are not in Kafka yet.
 */
pending_epochs: number, };

export type ProblemType = "urn:comptoir:problem:malformed-path" | "urn:comptoir:problem:malformed-json" | "urn:comptoir:problem:unreadable-body" | "urn:comptoir:problem:body-timeout" | "urn:comptoir:problem:body-too-large" | "urn:comptoir:problem:unsupported-media-type" | "urn:comptoir:problem:sign-in-required" | "urn:comptoir:problem:sign-in-failed" | "urn:comptoir:problem:too-many-attempts" | "urn:comptoir:problem:forbidden" | "urn:comptoir:problem:plain-sign-in-refused" | "urn:comptoir:problem:setup-required" | "urn:comptoir:problem:setup-code-wrong" | "urn:comptoir:problem:already-set-up" | "urn:comptoir:problem:open-gateway" | "urn:comptoir:problem:user-exists" | "urn:comptoir:problem:user-not-found" | "urn:comptoir:problem:last-administrator" | "urn:comptoir:problem:session-not-found" | "urn:comptoir:problem:pairing-not-found" | "urn:comptoir:problem:too-many-accounts" | "urn:comptoir:problem:accounts-unavailable" | "urn:comptoir:problem:cross-site-request" | "urn:comptoir:problem:https-required" | "urn:comptoir:problem:not-found" | "urn:comptoir:problem:order-not-found" | "urn:comptoir:problem:refund-not-possible" | "urn:comptoir:problem:day-is-closed" | "urn:comptoir:problem:day-has-not-begun" | "urn:comptoir:problem:dead-letter-not-found" | "urn:comptoir:problem:device-not-found" | "urn:comptoir:problem:demo-only" | "urn:comptoir:problem:method-not-allowed" | "urn:comptoir:problem:invalid-field" | "urn:comptoir:problem:invalid-parameter" | "urn:comptoir:problem:invalid-cursor" | "urn:comptoir:problem:dead-letter-undecodable" | "urn:comptoir:problem:dead-letter-already-stored" | "urn:comptoir:problem:too-many-requests" | "urn:comptoir:problem:too-many-live-connections" | "urn:comptoir:problem:journal-full" | "urn:comptoir:problem:journal-write-failed" | "urn:comptoir:problem:too-many-devices" | "urn:comptoir:problem:outcome-unknown" | "urn:comptoir:problem:read-failed" | "urn:comptoir:problem:answer-timeout" | "urn:comptoir:problem:shutting-down" | "urn:comptoir:problem:not-ready" | "urn:comptoir:problem:internal-error";

export type Stored = "no" | "unknown";

export type Problem = { type: ProblemType, 
/**
 * A short name of the type, for people.
 */
title: string, 
/**
 * The HTTP status.
 */
status: number, 
/**
 * What failed, why, and what to do, for people. The wording may change.
 */
detail: string, 
/**
 * Whether the event of the request may be in the journal.
 */
stored: Stored, 
/**
 * The path of the invalid field, for example `lines[2].unit_price`.
 */
field?: string, };

export type Role = "viewer" | "cashier" | "manager" | "administrator";

export type UserKind = "person" | "screen" | "token";

export type CurrentUser = { name: string, role: Role, kind: UserKind, };

export type Session = { 
/**
 * There is no administrator yet, and only the set-up is possible.
 */
setup_required: boolean, 
/**
 * The gateway needs no sign-in (`http.open`): everyone may read and change everything.
 */
open: boolean, 
/**
 * Null if nobody is signed in.
 */
user: CurrentUser | null, 
/**
 * The request came unencrypted from the network, so sign-in is refused.
 */
plain: boolean, };

export type SignIn = { name: string, password: string, };

export type Setup = { 
/**
 * The set-up code, from the gateway's log, its console or its memory card.
 */
code: string, 
/**
 * The administrator's name: 1 to 64 characters, without colons and control characters.
 */
name: string, password: string, };

export type NewPassword = { 
/**
 * The password until now.
 */
current: string, 
/**
 * The new password. One that is easy to guess is refused.
 */
password: string, };

export type User = { name: string, role: Role, created_at: string, last_sign_in_at: string | null, 
/**
 * The number of the user's open sessions.
 */
sessions: number, };

export type NewUser = { 
/**
 * 1 to 64 characters, without colons and control characters.
 */
name: string, role: Role, password: string, };

export type UserChange = { role?: Role, password?: string, };

export type OpenSession = { id: string, 
/**
 * The name of the user or of the screen.
 */
user: string, role: Role, kind: UserKind, created_at: string, 
/**
 * The time of the latest request, exact to the minute.
 */
last_seen_at: string, 
/**
 * The IP address of the latest request.
 */
address: string | null, 
/**
 * The browser's `User-Agent`.
 */
agent: string | null, 
/**
 * Whether this request belongs to this session.
 */
is_current: boolean, };

export type Token = { id: string, 
/**
 * Which program the token is for.
 */
name: string, role: Role, created_at: string, 
/**
 * The time of the latest use, exact to the minute; before the first use, `created_at`.
 */
last_used_at: string, };

export type NewToken = { 
/**
 * Which program the token is for, for example `prometheus`: 1 to 64 characters, without control characters.
 */
name: string, role: Role, };

export type CreatedToken = { id: string, name: string, role: Role, 
/**
 * The secret, sent as `Authorization: Bearer …`. It is returned only once.
 */
token: string, };

export type Pairing = { id: string, 
/**
 * The code that the screen shows, for example `4F7-K2M`.
 */
code: string, 
/**
 * The query parameter `secret` with which the screen asks for the state of its pairing.
 */
secret: string, expires_at: string, };

export type PairingState = "waiting" | "approved" | "expired";

export type PairingStatus = { state: PairingState, };

export type PairingApproval = { 
/**
 * The code that the screen shows, for example `4F7-K2M`.
 */
code: string, };

export type ActorKind = "person" | "screen" | "token" | "system" | "anonymous";

export type AuditEntry = { id: string, time: string, 
/**
 * The name of the user, screen or token; empty if nobody was signed in.
 */
actor: string, actor_kind: ActorKind, address: string | null, 
/**
 * What happened, for example `user-added`. Later versions may add actions.
 */
action: string, 
/**
 * What was changed, for example a user's name or an order's id.
 */
subject: string | null, 
/**
 * The changed fields and their values before the change, for example `{"role": "viewer"}`.
 */
before: Record<string, unknown> | null, 
/**
 * The changed fields and their values after the change.
 */
after: Record<string, unknown> | null, };

export type AuditPage = { 
/**
 * Newest first.
 */
entries: Array<AuditEntry>, 
/**
 * Send it as `cursor` to get the next page. Null on the last page.
 */
next_cursor: string | null, };

export type DayTakings = { 
/**
 * Successful payments, without refunds.
 */
payments: number, gross: number, refunds: number, 
/**
 * What was paid back, a positive number.
 */
refunded: number, 
/**
 * `gross` less `refunded`.
 */
net: number, 
/**
 * Payments that failed.
 */
failed: number, };

export type DayOrders = { 
/**
 * Orders that are not cancelled.
 */
orders: number, amount: number, cancelled: number, cancelled_amount: number, };

export type MethodTakings = { method: PaymentMethod, 
/**
 * Successful payments, without refunds.
 */
payments: number, gross: number, refunds: number, 
/**
 * What was paid back, a positive number.
 */
refunded: number, 
/**
 * `gross` less `refunded`.
 */
net: number, 
/**
 * Payments that failed.
 */
failed: number, };

export type TillTakings = { 
/**
 * The till, or the `counter`. `STORE/TILL` for a till of another store that this gateway serves. `*` for the tills
 * beyond the first 1,000.
 */
device: string, 
/**
 * Successful payments, without refunds.
 */
payments: number, gross: number, refunds: number, 
/**
 * What was paid back, a positive number.
 */
refunded: number, 
/**
 * `gross` less `refunded`.
 */
net: number, 
/**
 * Payments that failed.
 */
failed: number, };

export type VatAmount = { 
/**
 * In percent. Null for lines that name no rate.
 */
vat_rate: number | null, 
/**
 * With VAT.
 */
amount: number, 
/**
 * The VAT in `amount`, rounded once for the rate. Null if the rate is.
 */
vat: number | null, };

export type ProductSales = { product: string, 
/**
 * Absent for pieces.
 */
unit?: string, quantity: number, amount: number, };

export type OtherProducts = { products: number, amount: number, };

export type HourTakings = { 
/**
 * The beginning of the hour in the shop's time zone.
 */
hour: string, 
/**
 * Successful payments, without refunds.
 */
payments: number, net: number, };

export type NetAmount = { 
/**
 * ISO 4217.
 */
currency: string, net: number, };

export type CountedTakings = { 
/**
 * Null for payments with a time that cannot be right: more than 400 days old, or days in the future.
 */
date: string | null, 
/**
 * ISO 4217.
 */
currency: string, net: number, };

export type LatePayment = { 
/**
 * The event's name: store, till, epoch and number.
 */
ce_id: string, 
/**
 * When it was paid.
 */
time: string, payment_id: string, order_id: string, currency: string, 
/**
 * Negative for a refund.
 */
amount: number, status: string, };

export type CoveredNumbers = { 
/**
 * The till, the `counter`, or `_gateway` for the gateway's own records. `STORE/TILL` for a till of another store that
 * this gateway serves.
 */
device: string, 
/**
 * A till draws a new epoch when it begins to count again.
 */
epoch: number, 
/**
 * The number after the one with which the previous closing ended.
 */
from: number, to: number, 
/**
 * Ranges of numbers, first and last, that are not in the journal, or only as dead letters.
 */
missing: Array<[number, number]>, };

export type ClosingRecord = { 
/**
 * 1, 2, 3 … without gaps in a journal.
 */
number: number, date: string, closed_at: string, 
/**
 * Null on a gateway without users.
 */
closed_by: string | null, 
/**
 * The id of the journal. A new journal begins with number 1.
 */
journal: string, 
/**
 * The last entry of the journal that is counted.
 */
upto: number, 
/**
 * False if something may be missing: entries were no longer in the journal, the figures differ from the sum of the
 * payments, or there were more numbers than a closing lists.
 */
complete: boolean, 
/**
 * What is counted, by the day of the payments: first `date`, then what arrived late for earlier days. No payment is
 * counted twice, whatever is closed when.
 */
takings: Array<CountedTakings>, 
/**
 * What has arrived already for later days. Their closings count it.
 */
later_takings: Array<CountedTakings>, 
/**
 * The payments for earlier days that arrived after the previous closing, in the order of arrival. At most 500. Empty in
 * the first closing.
 */
late_payments: Array<LatePayment>, 
/**
 * Whether there are more late payments than the listed ones.
 */
has_more_late_payments: boolean, 
/**
 * The numbers of each till that arrived after the previous closing. At most 2,000 tills and epochs.
 */
numbers: Array<CoveredNumbers>, 
/**
 * Everything that this and all earlier closings counted.
 */
grand_total: Array<NetAmount>, 
/**
 * The `hash` of the previous closing; 64 zeros for the first one.
 */
previous: string, 
/**
 * The hash of the entry `upto` in the journal's hash chain, in hexadecimal. Absent if the chain starts later.
 */
chain: string | null, 
/**
 * The public key (Ed25519) that signs this shop's closings, in hexadecimal. Absent without the shop's secret.
 */
key: string | null, };

export type DayClosing = { 
/**
 * SHA-256 of the record in the topic `closings` without this field and the signature, in hexadecimal.
 */
hash: string, 
/**
 * Ed25519 signature of the hash by `key`, in hexadecimal. Absent without the shop's secret.
 */
signature: string | null, 
/**
 * What has arrived for the day since. The next closing counts it.
 */
since: Array<NetAmount>, 
/**
 * 1, 2, 3 … without gaps in a journal.
 */
number: number, date: string, closed_at: string, 
/**
 * Null on a gateway without users.
 */
closed_by: string | null, 
/**
 * The id of the journal. A new journal begins with number 1.
 */
journal: string, 
/**
 * The last entry of the journal that is counted.
 */
upto: number, 
/**
 * False if something may be missing: entries were no longer in the journal, the figures differ from the sum of the
 * payments, or there were more numbers than a closing lists.
 */
complete: boolean, 
/**
 * What is counted, by the day of the payments: first `date`, then what arrived late for earlier days. No payment is
 * counted twice, whatever is closed when.
 */
takings: Array<CountedTakings>, 
/**
 * What has arrived already for later days. Their closings count it.
 */
later_takings: Array<CountedTakings>, 
/**
 * The payments for earlier days that arrived after the previous closing, in the order of arrival. At most 500. Empty in
 * the first closing.
 */
late_payments: Array<LatePayment>, 
/**
 * Whether there are more late payments than the listed ones.
 */
has_more_late_payments: boolean, 
/**
 * The numbers of each till that arrived after the previous closing. At most 2,000 tills and epochs.
 */
numbers: Array<CoveredNumbers>, 
/**
 * Everything that this and all earlier closings counted.
 */
grand_total: Array<NetAmount>, 
/**
 * The `hash` of the previous closing; 64 zeros for the first one.
 */
previous: string, 
/**
 * The hash of the entry `upto` in the journal's hash chain, in hexadecimal. Absent if the chain starts later.
 */
chain: string | null, 
/**
 * The public key (Ed25519) that signs this shop's closings, in hexadecimal. Absent without the shop's secret.
 */
key: string | null, };

export type ShopDay = { date: string, 
/**
 * IANA name, or the offset from UTC if the machine's time zone has no name.
 */
time_zone: string, 
/**
 * The beginning of the day.
 */
from: string, 
/**
 * The end of the day, which is the beginning of the next one.
 */
to: string, is_today: boolean, 
/**
 * False if some sales of the day are missing from the figures, because the gateway no longer keeps them or because
 * there are more than 50,000. Absent otherwise.
 */
complete?: boolean, 
/**
 * ISO 4217.
 */
currency: string, takings: DayTakings, orders: DayOrders, 
/**
 * The largest net takings first.
 */
by_method: Array<MethodTakings>, 
/**
 * The largest net takings first.
 */
by_till: Array<TillTakings>, 
/**
 * The lines of the orders that are not cancelled, by their VAT rate; the lines that name none are last.
 */
by_vat_rate: Array<VatAmount>, 
/**
 * The lines of the orders that are not cancelled, the largest amount first. At most 200.
 */
by_product: Array<ProductSales>, 
/**
 * The products that are not in `by_product`.
 */
other_products: OtherProducts, 
/**
 * The hours in which something was paid, oldest first.
 */
by_hour: Array<HourTakings>, other_currencies: Array<NetAmount>, 
/**
 * Absent as long as the day is not closed. The figures of a closed day no longer change.
 */
closing?: DayClosing, };

export type Auth = { 
/**
 * Requests `batch` packets under load instead of one packet per event, and `alive` every four seconds.
 */
batch: boolean, 
/**
 * The `journal_offset` of the last event that the client received. The gateway sends its later events in order after
 * `initial_data`, as far as the journal still has them. Ignored with `batch`. A client must set it at each
 * reconnection: without it, it receives only the missed events that are in `initial_data`.
 */
after?: number, 
/**
 * A program's token, for clients that cannot send the header `Authorization`.
 */
token?: string, };

export type Confirmed = { kind: Kind, ce_id: string, order_id: string, partition: number, offset: number, };

export type InitialData = { 
/**
 * Newest first, at most 50 of each kind.
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
  "urn:comptoir:problem:sign-in-required": {"retry_after":null,"status":401,"stored":"no","title":"Sign-in required"},
  "urn:comptoir:problem:sign-in-failed": {"retry_after":null,"status":401,"stored":"no","title":"Sign-in failed"},
  "urn:comptoir:problem:too-many-attempts": {"retry_after":null,"status":429,"stored":"no","title":"Too many attempts"},
  "urn:comptoir:problem:forbidden": {"retry_after":null,"status":403,"stored":"no","title":"Insufficient role"},
  "urn:comptoir:problem:plain-sign-in-refused": {"retry_after":null,"status":403,"stored":"no","title":"Sign-in needs HTTPS"},
  "urn:comptoir:problem:setup-required": {"retry_after":null,"status":403,"stored":"no","title":"The gateway is not set up"},
  "urn:comptoir:problem:setup-code-wrong": {"retry_after":null,"status":403,"stored":"no","title":"Wrong set-up code"},
  "urn:comptoir:problem:already-set-up": {"retry_after":null,"status":409,"stored":"no","title":"Already set up"},
  "urn:comptoir:problem:open-gateway": {"retry_after":null,"status":409,"stored":"no","title":"The gateway is open"},
  "urn:comptoir:problem:user-exists": {"retry_after":null,"status":409,"stored":"no","title":"User already exists"},
  "urn:comptoir:problem:user-not-found": {"retry_after":null,"status":404,"stored":"no","title":"User not found"},
  "urn:comptoir:problem:last-administrator": {"retry_after":null,"status":409,"stored":"no","title":"The last administrator"},
  "urn:comptoir:problem:session-not-found": {"retry_after":null,"status":404,"stored":"no","title":"Session not found"},
  "urn:comptoir:problem:pairing-not-found": {"retry_after":null,"status":404,"stored":"no","title":"Pairing not found"},
  "urn:comptoir:problem:too-many-accounts": {"retry_after":null,"status":409,"stored":"no","title":"Too many users, sessions or tokens"},
  "urn:comptoir:problem:accounts-unavailable": {"retry_after":5,"status":503,"stored":"no","title":"The accounts are unavailable"},
  "urn:comptoir:problem:cross-site-request": {"retry_after":null,"status":403,"stored":"no","title":"Cross-site request"},
  "urn:comptoir:problem:https-required": {"retry_after":null,"status":403,"stored":"no","title":"HTTPS required"},
  "urn:comptoir:problem:not-found": {"retry_after":null,"status":404,"stored":"no","title":"Not found"},
  "urn:comptoir:problem:order-not-found": {"retry_after":null,"status":404,"stored":"no","title":"Order not found"},
  "urn:comptoir:problem:refund-not-possible": {"retry_after":null,"status":409,"stored":"no","title":"The refund is not possible"},
  "urn:comptoir:problem:day-is-closed": {"retry_after":null,"status":409,"stored":"no","title":"The day is closed"},
  "urn:comptoir:problem:day-has-not-begun": {"retry_after":null,"status":409,"stored":"no","title":"The day has not begun"},
  "urn:comptoir:problem:dead-letter-not-found": {"retry_after":null,"status":404,"stored":"no","title":"Dead letter not found"},
  "urn:comptoir:problem:device-not-found": {"retry_after":null,"status":404,"stored":"no","title":"Device not found"},
  "urn:comptoir:problem:demo-only": {"retry_after":null,"status":404,"stored":"no","title":"Only available in the demo"},
  "urn:comptoir:problem:method-not-allowed": {"retry_after":null,"status":405,"stored":"no","title":"Method not allowed"},
  "urn:comptoir:problem:invalid-field": {"retry_after":null,"status":422,"stored":"no","title":"Invalid field"},
  "urn:comptoir:problem:invalid-parameter": {"retry_after":null,"status":422,"stored":"no","title":"Invalid parameter"},
  "urn:comptoir:problem:invalid-cursor": {"retry_after":null,"status":422,"stored":"no","title":"Invalid cursor"},
  "urn:comptoir:problem:dead-letter-undecodable": {"retry_after":null,"status":422,"stored":"no","title":"The dead letter still cannot be decoded"},
  "urn:comptoir:problem:dead-letter-already-stored": {"retry_after":null,"status":409,"stored":"no","title":"The dead letter is already stored"},
  "urn:comptoir:problem:too-many-requests": {"retry_after":1,"status":429,"stored":"no","title":"Too many requests"},
  "urn:comptoir:problem:too-many-live-connections": {"retry_after":5,"status":503,"stored":"no","title":"Too many live connections"},
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

/** Decimals of the currencies that do not have two. */
export const DECIMALS: Readonly<Record<string, number>> = { BHD: 3, BIF: 0, CLF: 4, CLP: 0, DJF: 0, GNF: 0, IQD: 3, ISK: 0, JOD: 3, JPY: 0, KMF: 0, KRW: 0, KWD: 3, LYD: 3, OMR: 3, PYG: 0, RWF: 0, TND: 3, UGX: 0, UYI: 0, UYW: 4, VND: 0, VUV: 0, XAF: 0, XAG: 0, XAU: 0, XBA: 0, XBB: 0, XBC: 0, XBD: 0, XDR: 0, XOF: 0, XPD: 0, XPF: 0, XPT: 0, XSU: 0, XTS: 0, XUA: 0, XXX: 0 };
