// Generated from gateway/src/http/api/dto by `make types`. Do not edit.

export type Kind = "order" | "payment" | "delivery";

export type OrderStatus = "Pending" | "Processing" | "Completed" | "Cancelled";

export type PaymentMethod = "Credit Card" | "Debit Card" | "PayPal" | "Bank Transfer" | "Cash";

export type PaymentStatus = "SUCCESS" | "FAILED";

export type DeliveryStatus = "Pending" | "In Transit" | "Delivered";

export type Origin = "local" | "kafka";

export type Whereabouts = { 
/**
 * The name of the event that brought this state: `{store}/{device}/{epoch}/{seq}`.
 */
ce_id: string, origin: Origin, 
/**
 * Whether the event is in Kafka.
 */
confirmed: boolean, 
/**
 * The position in the order in which the orders, payments or deliveries were first seen; a later state keeps it.
 * Missing only in the answer to a `POST`.
 */
row?: number, 
/**
 * The position in this gateway's journal. Local events only.
 */
journal_offset?: number, 
/**
 * The partition in Kafka, once the event was read back.
 */
partition?: number, 
/**
 * The offset in that partition.
 */
offset?: number, 
/**
 * How many changes by other devices than the one that created the order or delivery were not, or not wholly, taken over.
 * Missing if there are none. `GET /api/orders/{order_id}` lists them.
 */
corrections?: number, };

export type Line = { product: string, quantity: number, unit_price: number, };

export type Order = { order_id: string, customer_name: string, customer_email?: string, 
/**
 * A summary of the lines, for people.
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
 * The name of the event that brought this state: `{store}/{device}/{epoch}/{seq}`.
 */
ce_id: string, origin: Origin, 
/**
 * Whether the event is in Kafka.
 */
confirmed: boolean, 
/**
 * The position in the order in which the orders, payments or deliveries were first seen; a later state keeps it.
 * Missing only in the answer to a `POST`.
 */
row?: number, 
/**
 * The position in this gateway's journal. Local events only.
 */
journal_offset?: number, 
/**
 * The partition in Kafka, once the event was read back.
 */
partition?: number, 
/**
 * The offset in that partition.
 */
offset?: number, 
/**
 * How many changes by other devices than the one that created the order or delivery were not, or not wholly, taken over.
 * Missing if there are none. `GET /api/orders/{order_id}` lists them.
 */
corrections?: number, };

export type Payment = { payment_id: string, order_id: string, 
/**
 * An exact decimal number with at most the decimals of the currency.
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
 * The name of the event that brought this state: `{store}/{device}/{epoch}/{seq}`.
 */
ce_id: string, origin: Origin, 
/**
 * Whether the event is in Kafka.
 */
confirmed: boolean, 
/**
 * The position in the order in which the orders, payments or deliveries were first seen; a later state keeps it.
 * Missing only in the answer to a `POST`.
 */
row?: number, 
/**
 * The position in this gateway's journal. Local events only.
 */
journal_offset?: number, 
/**
 * The partition in Kafka, once the event was read back.
 */
partition?: number, 
/**
 * The offset in that partition.
 */
offset?: number, 
/**
 * How many changes by other devices than the one that created the order or delivery were not, or not wholly, taken over.
 * Missing if there are none. `GET /api/orders/{order_id}` lists them.
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
 * The name of the event that brought this state: `{store}/{device}/{epoch}/{seq}`.
 */
ce_id: string, origin: Origin, 
/**
 * Whether the event is in Kafka.
 */
confirmed: boolean, 
/**
 * The position in the order in which the orders, payments or deliveries were first seen; a later state keeps it.
 * Missing only in the answer to a `POST`.
 */
row?: number, 
/**
 * The position in this gateway's journal. Local events only.
 */
journal_offset?: number, 
/**
 * The partition in Kafka, once the event was read back.
 */
partition?: number, 
/**
 * The offset in that partition.
 */
offset?: number, 
/**
 * How many changes by other devices than the one that created the order or delivery were not, or not wholly, taken over.
 * Missing if there are none. `GET /api/orders/{order_id}` lists them.
 */
corrections?: number, };

export type Correction = { 
/**
 * What was changed.
 */
kind: Kind, 
/**
 * The `order_id` or `delivery_id`.
 */
id: string, 
/**
 * The author: the till that sent the change.
 */
device: string, 
/**
 * The status that it sent, if that differed.
 */
status?: string, 
/**
 * The amount that it sent for an order, if that differed. It was not taken over.
 */
amount?: number, 
/**
 * The currency of `amount`.
 */
currency?: string, timestamp: string, 
/**
 * The position of its event in this gateway's journal.
 */
journal_offset: number, 
/**
 * Whether the status was taken over. Other fields never are.
 */
applied: boolean, };

export type Page<T> = { items: Array<T>, 
/**
 * Pass it as `cursor` to get the next page. Null on the last page.
 */
next_cursor: string | null, };

export type OrderLife = { 
/**
 * Null if only payments or deliveries of the order are known.
 */
order: Order | null, payments: Array<Payment>, deliveries: Array<Delivery>, 
/**
 * Changes of the order and its deliveries by other devices than those that created them, oldest first; the newest 100.
 */
corrections: Array<Correction>, };

export type Quarters = { orders: [number, number, number, number], success_payments: [number, number, number, number], failed_payments: [number, number, number, number], deliveries: [number, number, number, number], revenue: [number, number, number, number], };

export type Hour = { 
/**
 * The beginning of the hour.
 */
hour: string, orders: number, success_payments: number, failed_payments: number, deliveries: number, revenue: number, quarters: Quarters, };

export type Stats = { total_orders: number, total_payments: number, success_payments: number, failed_payments: number, total_deliveries: number, 
/**
 * The sum of the successful payments in the shop's currency.
 */
total_revenue: number, currency: string, 
/**
 * Percent, 0 to 100.
 */
payment_success_rate: number, 
/**
 * At least the last three days by hour of UTC, oldest first. Hours without events are left out.
 */
orders_per_hour: Array<Hour>, };

export type LinkState = "up" | "down" | "off";

export type Link = { state: LinkState, 
/**
 * When the state last changed.
 */
since: string, 
/**
 * Why the peer cannot be reached.
 */
problem?: string, 
/**
 * Restrictions while the peer is up, one sentence each.
 */
warnings?: Array<string>, };

export type JournalStatus = { 
/**
 * Events that the journal holds, whether they are in Kafka or not.
 */
events: number, 
/**
 * Events that are not yet in Kafka.
 */
pending: number, 
/**
 * The time of the oldest pending event.
 */
oldest_pending: string | null, bytes: number, max_bytes: number, 
/**
 * True while the journal accepts nothing: it is full, or its disk cannot be written.
 */
refusing: boolean, first_offset: number, last_offset: number, 
/**
 * Every entry up to this journal offset is in Kafka.
 */
watermark: number, 
/**
 * Events that were sent again and not stored again.
 */
duplicates: number, 
/**
 * Events that were acknowledged and later lost, because the journal's files were damaged or not copied completely.
 * `lost` of each epoch lists their numbers.
 */
lost: number, };

export type ClockState = "synchronised" | "unsynchronised" | "unknown";

export type ClockJump = { 
/**
 * By the clock as it is set now.
 */
at: string, 
/**
 * The change; negative if the clock was set back.
 */
seconds: number, };

export type Clock = { state: ClockState, 
/**
 * The last time that the clock was set, within the last 24 hours.
 */
jump?: ClockJump, };

export type Partition = { topic: string, partition: number, 
/**
 * The next offset to be read, never beyond `end`. With `follow` = `own`: one past this gateway's newest event since its
 * start.
 */
position: number, 
/**
 * The end of the partition. Known only where it is read.
 */
end?: number, lag?: number, };

export type Follow = "own" | "all";

export type Shops = { 
/**
 * This gateway's store.
 */
own: string, 
/**
 * The stores of other gateways, sorted by name.
 */
others: Array<string>, };

export type GatewayStatus = { store: string, version: string, 
/**
 * The demonstration: Kafka is in memory, and `POST /api/demo/kafka` makes it unreachable.
 */
demo: boolean, mqtt: Link, kafka: Link, 
/**
 * The transactional producer, journal → Kafka.
 */
bridge: Link, 
/**
 * The consumer of the Kafka topic `commands`.
 */
commands: Link, clock: Clock, journal: JournalStatus, follow: Follow, 
/**
 * The name under which the positions are committed. Null without Kafka, and with `follow` = `own`.
 */
consumer_group: string | null, partitions: Array<Partition>, dead_letters: number, };

export type Epoch = { epoch: number, 
/**
 * The highest number that arrived.
 */
received: number, stored: number, in_kafka: number, 
/**
 * Numbers that the till no longer holds and that never arrived here: another gateway has acknowledged them, or they
 * are lost. If this gateway already knew the epoch, they are also `missing`.
 */
elsewhere: number, 
/**
 * Inclusive ranges of numbers whose events are not here.
 */
missing: Array<[number, number]>, 
/**
 * The missing numbers that were acknowledged and then lost with a part of the journal's files. They are stored if
 * they are sent again.
 */
lost: Array<[number, number]>, };

export type Device = { store: string, device: string, 
/**
 * What the till's `status` topic says. Null if the till never published it.
 */
online: boolean | null, epochs: Array<Epoch>, received: number, stored: number, in_kafka: number, 
/**
 * Bytes of the journal that its events take until they are in Kafka. At half of the journal, further ones are refused.
 */
pending_bytes: number, 
/**
 * Inclusive ranges of numbers that never arrived, of the latest epochs.
 */
missing: Array<[number, number]>, 
/**
 * Events whose number the till had already used for another sale. The gateway kept them under a number of its own.
 */
reused: number, };

export type RefusalReason = "devices" | "epochs" | "pending_bytes" | "dead_letters";

export type RefusedDevice = { store: string, device: string, reason: RefusalReason, 
/**
 * Refused events since `since`, including events that were sent again.
 */
count: number, since: string, last: string, };

export type BacklogPoint = { at: string, pending: number, };

export type Gateway = { devices: Array<Device>, 
/**
 * Devices whose events were refused within the last hour, latest first.
 */
refused: Array<RefusedDevice>, 
/**
 * Pending events over the last hour, oldest first.
 */
backlog: Array<BacklogPoint>, 
/**
 * Errors in the present configuration. If there are any, the last configuration that started is in use.
 */
settings_problems: Array<SettingsProblem>, store: string, version: string, 
/**
 * The demonstration: Kafka is in memory, and `POST /api/demo/kafka` makes it unreachable.
 */
demo: boolean, mqtt: Link, kafka: Link, 
/**
 * The transactional producer, journal → Kafka.
 */
bridge: Link, 
/**
 * The consumer of the Kafka topic `commands`.
 */
commands: Link, clock: Clock, journal: JournalStatus, follow: Follow, 
/**
 * The name under which the positions are committed. Null without Kafka, and with `follow` = `own`.
 */
consumer_group: string | null, partitions: Array<Partition>, dead_letters: number, };

export type SettingsProblem = { 
/**
 * The file, or "the environment".
 */
place?: string, 
/**
 * For example `journal.max_bytes`. Missing if the file cannot be read at all.
 */
key?: string, message: string, };

export type DeadLetterCause = "unknown_topic" | "wrong_topic" | "unknown_format" | "unknown_version" | "too_large" | "not_json" | "malformed_frame" | "invalid_field" | "other";

export type DeadLetter = { 
/**
 * The journal offset, which names the dead letter.
 */
offset: number, ce_id: string, 
/**
 * The MQTT topic on which the message came; in a list, its first 512 characters.
 */
topic: string, cause: DeadLetterCause, 
/**
 * The path of the field that is not valid, as in `lines[2].unit_price`. Only with the cause `invalid_field`.
 */
field?: string, 
/**
 * The cause in words, for people: the words may change.
 */
reason: string, received: string, 
/**
 * When a retry stored the event.
 */
retried: string | null, 
/**
 * The length of the whole payload.
 */
bytes: number, 
/**
 * The payload, Base64; in a list, its first 512 bytes. `GET /api/dead-letters/{offset}` has all of it.
 */
payload: string, };

export type Retried = { ce_id: string, };

export type DemoKafka = { up: boolean, };

export type ForgottenDevice = { 
/**
 * Epochs that had stored nothing, and are gone.
 */
removed_epochs: number, 
/**
 * Epochs that keep their numbers, so that an event that is sent again is not stored twice. They take no room.
 */
dormant_epochs: number, 
/**
 * Epochs that stay as they were, because events of them are not in Kafka yet.
 */
pending_epochs: number, };

export type ProblemType = "urn:comptoir:problem:malformed-path" | "urn:comptoir:problem:malformed-json" | "urn:comptoir:problem:unreadable-body" | "urn:comptoir:problem:body-timeout" | "urn:comptoir:problem:body-too-large" | "urn:comptoir:problem:unsupported-media-type" | "urn:comptoir:problem:sign-in-required" | "urn:comptoir:problem:sign-in-failed" | "urn:comptoir:problem:too-many-attempts" | "urn:comptoir:problem:forbidden" | "urn:comptoir:problem:plain-sign-in-refused" | "urn:comptoir:problem:setup-required" | "urn:comptoir:problem:setup-code-wrong" | "urn:comptoir:problem:already-set-up" | "urn:comptoir:problem:open-gateway" | "urn:comptoir:problem:user-exists" | "urn:comptoir:problem:user-not-found" | "urn:comptoir:problem:last-administrator" | "urn:comptoir:problem:session-not-found" | "urn:comptoir:problem:pairing-not-found" | "urn:comptoir:problem:too-many-accounts" | "urn:comptoir:problem:accounts-unavailable" | "urn:comptoir:problem:cross-site-request" | "urn:comptoir:problem:https-required" | "urn:comptoir:problem:not-found" | "urn:comptoir:problem:order-not-found" | "urn:comptoir:problem:dead-letter-not-found" | "urn:comptoir:problem:device-not-found" | "urn:comptoir:problem:demo-only" | "urn:comptoir:problem:method-not-allowed" | "urn:comptoir:problem:invalid-field" | "urn:comptoir:problem:invalid-parameter" | "urn:comptoir:problem:invalid-cursor" | "urn:comptoir:problem:dead-letter-undecodable" | "urn:comptoir:problem:dead-letter-already-stored" | "urn:comptoir:problem:too-many-requests" | "urn:comptoir:problem:too-many-live-connections" | "urn:comptoir:problem:journal-full" | "urn:comptoir:problem:journal-write-failed" | "urn:comptoir:problem:too-many-devices" | "urn:comptoir:problem:outcome-unknown" | "urn:comptoir:problem:read-failed" | "urn:comptoir:problem:answer-timeout" | "urn:comptoir:problem:shutting-down" | "urn:comptoir:problem:not-ready" | "urn:comptoir:problem:internal-error";

export type Stored = "no" | "unknown";

export type Problem = { type: ProblemType, 
/**
 * The name of the type, for people.
 */
title: string, status: number, 
/**
 * What failed, why, and what to do, for people: the words may change.
 */
detail: string, stored: Stored, 
/**
 * The path of the field that is not valid, as in `lines[2].unit_price`.
 */
field?: string, };

export type Role = "viewer" | "cashier" | "manager" | "administrator";

export type UserKind = "person" | "screen" | "token";

export type CurrentUser = { name: string, role: Role, kind: UserKind, };

export type Session = { 
/**
 * There is no administrator yet: only `/setup` answers.
 */
setup_required: boolean, 
/**
 * Nobody has to sign in, and everybody may do everything.
 */
open: boolean, 
/**
 * `null` if nobody is signed in.
 */
user: CurrentUser | null, 
/**
 * The connection is not encrypted and comes from the network, so that sign-in is refused.
 */
plain: boolean, };

export type SignIn = { name: string, password: string, };

export type Setup = { 
/**
 * The set-up code of the gateway's log, console or card.
 */
code: string, 
/**
 * The name of the first administrator.
 */
name: string, password: string, };

export type NewPassword = { current: string, password: string, };

export type User = { name: string, role: Role, created_at: string, last_sign_in_at: string | null, 
/**
 * The number of its open sessions.
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
 * The user's name, or the screen's.
 */
user: string, role: Role, kind: UserKind, created_at: string, 
/**
 * Exact to a minute.
 */
last_seen_at: string, 
/**
 * Where it was last used.
 */
address: string | null, 
/**
 * The browser's `User-Agent`.
 */
agent: string | null, 
/**
 * The session of this request.
 */
is_current: boolean, };

export type Token = { id: string, name: string, role: Role, created_at: string, 
/**
 * Exact to a minute.
 */
last_used_at: string, };

export type NewToken = { 
/**
 * 1 to 64 characters, without control characters.
 */
name: string, role: Role, };

export type CreatedToken = { id: string, name: string, role: Role, 
/**
 * Send it as `Authorization: Bearer …`. It is shown this once.
 */
token: string, };

export type Pairing = { id: string, 
/**
 * What the screen shows, as in `4F7-K2M`.
 */
code: string, 
/**
 * What the screen asks with.
 */
secret: string, expires_at: string, };

export type PairingState = "waiting" | "approved" | "expired";

export type PairingStatus = { state: PairingState, };

export type PairingApproval = { 
/**
 * What the screen shows.
 */
code: string, };

export type ActorKind = "person" | "screen" | "token" | "system" | "anonymous";

export type AuditEntry = { id: string, time: string, 
/**
 * The name of the user, screen or token; empty if nobody was signed in.
 */
actor: string, actor_kind: ActorKind, address: string | null, 
/**
 * As in `user-added`. Later versions may have more.
 */
action: string, 
/**
 * What was changed: a user's name, an order's id.
 */
subject: string | null, 
/**
 * An object with what was changed.
 */
before: Record<string, unknown> | null, after: Record<string, unknown> | null, };

export type AuditPage = { 
/**
 * Newest first.
 */
entries: Array<AuditEntry>, 
/**
 * `cursor` of the next page; `null` on the last one.
 */
next_cursor: string | null, };

export type Auth = { 
/**
 * Requests `batch` instead of one packet for each event, and `alive` every four seconds.
 */
batch: boolean, 
/**
 * The `journal_offset` of the last event that the client has. Later events of this gateway are sent in order after
 * `initial_data`, as far as the journal still has them. Ignored with `batch`. A client must set it again at each
 * reconnection: without it, it receives only the missed events that are in `initial_data`.
 */
after?: number, 
/**
 * A program's token, if it cannot send the header `Authorization`.
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
  "urn:comptoir:problem:forbidden": {"retry_after":null,"status":403,"stored":"no","title":"The role is not sufficient"},
  "urn:comptoir:problem:plain-sign-in-refused": {"retry_after":null,"status":403,"stored":"no","title":"Sign-in needs HTTPS"},
  "urn:comptoir:problem:setup-required": {"retry_after":null,"status":403,"stored":"no","title":"The gateway is not set up"},
  "urn:comptoir:problem:setup-code-wrong": {"retry_after":null,"status":403,"stored":"no","title":"Wrong set-up code"},
  "urn:comptoir:problem:already-set-up": {"retry_after":null,"status":409,"stored":"no","title":"Already set up"},
  "urn:comptoir:problem:open-gateway": {"retry_after":null,"status":409,"stored":"no","title":"The gateway is open"},
  "urn:comptoir:problem:user-exists": {"retry_after":null,"status":409,"stored":"no","title":"The user exists already"},
  "urn:comptoir:problem:user-not-found": {"retry_after":null,"status":404,"stored":"no","title":"User not found"},
  "urn:comptoir:problem:last-administrator": {"retry_after":null,"status":409,"stored":"no","title":"The last administrator"},
  "urn:comptoir:problem:session-not-found": {"retry_after":null,"status":404,"stored":"no","title":"Session not found"},
  "urn:comptoir:problem:pairing-not-found": {"retry_after":null,"status":404,"stored":"no","title":"Pairing not found"},
  "urn:comptoir:problem:too-many-accounts": {"retry_after":null,"status":409,"stored":"no","title":"Too many users, sessions or tokens"},
  "urn:comptoir:problem:accounts-unavailable": {"retry_after":5,"status":503,"stored":"no","title":"The accounts are not available"},
  "urn:comptoir:problem:cross-site-request": {"retry_after":null,"status":403,"stored":"no","title":"Cross-site request"},
  "urn:comptoir:problem:https-required": {"retry_after":null,"status":403,"stored":"no","title":"HTTPS required"},
  "urn:comptoir:problem:not-found": {"retry_after":null,"status":404,"stored":"no","title":"Not found"},
  "urn:comptoir:problem:order-not-found": {"retry_after":null,"status":404,"stored":"no","title":"Order not found"},
  "urn:comptoir:problem:dead-letter-not-found": {"retry_after":null,"status":404,"stored":"no","title":"Dead letter not found"},
  "urn:comptoir:problem:device-not-found": {"retry_after":null,"status":404,"stored":"no","title":"Device not found"},
  "urn:comptoir:problem:demo-only": {"retry_after":null,"status":404,"stored":"no","title":"Only in the demonstration"},
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
