// Generated from gateway/office/src by `make types`. Do not edit.

export type Amount = { amount: number, currency: string, };

export type Today = { orders: number, payments: number, deliveries: number, 
/**
 * Successful payments, by currency.
 */
takings: Array<Amount>, };

export type Gateway = { version: string, started: string, last_exit: string, 
/**
 * Events that were not in Kafka.
 */
pending: number, oldest_pending?: string, 
/**
 * Numbers whose events have not arrived.
 */
missing: number, dead_letters: number, journal_bytes: number, journal_max_bytes: number, disk_free?: number, devices: number, 
/**
 * Of those whose connection is known.
 */
devices_offline: number, };

export type Shop = { store: string, troubles: Array<string>, 
/**
 * When Kafka had the newest record of the shop.
 */
heard: string, 
/**
 * The same, of sales.
 */
sold?: string, 
/**
 * Absent until the gateway has published its state.
 */
gateway?: Gateway, today: Today, };

export type Overview = { time: string, 
/**
 * Everything that the gateways had published at this time was read. Absent before the first state.
 */
as_of?: string, 
/**
 * Sorted: the worst troubles first, then by name.
 */
shops: Array<Shop>, 
/**
 * Records that do not count.
 */
kept_apart: number, 
/**
 * Ranges of records that Kafka no longer had.
 */
lost_ranges: number, };

export type SaleItem = { store: string, 
/**
 * `order`, `payment` or `delivery`.
 */
kind: string, 
/**
 * The device that created it.
 */
device: string, id: string, order_id: string, status: string, time: string, 
/**
 * An exact decimal number. Deliveries have none.
 */
amount?: number, currency?: string, 
/**
 * Number of changes by other devices that were rejected.
 */
corrections: number, 
/**
 * Epoch and number of the device's newest event for this sale.
 */
epoch: number, number: number, 
/**
 * The JSON as the gateway wrote it. `customer_email` and `address` are null for a role that does not see personal
 * data.
 */
value: unknown, };

export type SalesPage = { items: Array<SaleItem>, 
/**
 * The value for `after`; absent on the last page.
 */
next?: string, 
/**
 * Where reading continues in Kafka, by kind and partition: the items contain at least all records before.
 */
read: { [key in string]: { [key in number]: number } }, };

export type Role = "viewer" | "cashier" | "manager" | "administrator";

export type UserKind = "person" | "token";

export type CurrentUser = { name: string, role: Role, kind: UserKind, 
/**
 * `null`: all shops.
 */
shops: Array<string> | null, 
/**
 * The user has a password here, and not at an identity provider.
 */
has_password: boolean, };

export type Session = { 
/**
 * There is no administrator yet.
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
plain: boolean, 
/**
 * The identity provider, if users can sign in with one.
 */
oidc: string | null, };

export type ShopQuarters = { orders: [number, number, number, number], success_payments: [number, number, number, number], failed_payments: [number, number, number, number], deliveries: [number, number, number, number], revenue: [number, number, number, number], };

export type ShopHour = { 
/**
 * The beginning of the hour.
 */
hour: string, orders: number, success_payments: number, failed_payments: number, deliveries: number, 
/**
 * In the currency of the totals.
 */
revenue: number, quarters: ShopQuarters, };

export type ShopStats = { store: string, 
/**
 * The totals are of the sales from this time on; absent if they are of all sales. A whole quarter of an hour.
 */
since?: string, 
/**
 * And before this time.
 */
until?: string, total_orders: number, total_payments: number, success_payments: number, failed_payments: number, total_deliveries: number, 
/**
 * The sum of the successful payments in `currency`.
 */
total_revenue: number, 
/**
 * The currency of most of the shop's payments.
 */
currency: string, 
/**
 * The sum of the successful payments in each currency.
 */
revenue: Array<Amount>, 
/**
 * Percent, 0 to 100.
 */
payment_success_rate: number, 
/**
 * The last seven days of the period by hour of UTC, oldest first. Hours without events are left out.
 */
orders_per_hour: Array<ShopHour>, };

export type By = "day" | "week";

export type Sums = { orders: number, 
/**
 * Successful ones.
 */
payments: number, deliveries: number, 
/**
 * The successful payments, by currency.
 */
revenue: Array<Amount>, };

export type Compared = { now: Sums, before: Sums, };

export type ShopComparison = { 
/**
 * Absent for all shops together.
 */
store?: string, total: Compared, 
/**
 * The days or weeks, as many as `starts`.
 */
steps: Array<Compared>, };

export type Comparison = { by: By, time_zone: string, 
/**
 * The first day.
 */
since: string, 
/**
 * The day after the last one.
 */
until: string, 
/**
 * The first day of the period before, which ends where this one begins.
 */
before: string, 
/**
 * The first day of each day or week.
 */
starts: Array<string>, 
/**
 * The last day or week is not over: of the one it is compared with, only the same part counts.
 */
is_partial: boolean, shops: Array<ShopComparison>, total: ShopComparison, };

export type CommandSummary = { id: number, 
/**
 * Who sent it.
 */
author: string, created: string, 
/**
 * `*` for all shops, `paris-1` or `paris-1/till-3`.
 */
to: string, 
/**
 * `message`, `price_list` or `order_status`.
 */
kind: string, 
/**
 * Of a message.
 */
text?: string, 
/**
 * Number of prices.
 */
prices?: number, currency?: string, order_id?: string, status?: string, };

export type ReceiptCounts = { shops: number, waiting: number, in_kafka: number, handed_over: number, missed: number, unknown: number, };

export type CommandItem = { receipts: ReceiptCounts, id: number, 
/**
 * Who sent it.
 */
author: string, created: string, 
/**
 * `*` for all shops, `paris-1` or `paris-1/till-3`.
 */
to: string, 
/**
 * `message`, `price_list` or `order_status`.
 */
kind: string, 
/**
 * Of a message.
 */
text?: string, 
/**
 * Number of prices.
 */
prices?: number, currency?: string, order_id?: string, status?: string, };

export type CommandsPage = { items: Array<CommandItem>, 
/**
 * The value for `after`; absent on the last page.
 */
next?: number, };

export type Receipt = { store: string, 
/**
 * `waiting`, `in-kafka`, `handed-over`, `missed` or `unknown`.
 */
state: string, 
/**
 * When Kafka had it.
 */
in_kafka?: string, 
/**
 * When Kafka had the gateway's confirmation.
 */
handed_over?: string, };

export type CommandDetails = { 
/**
 * The record's value.
 */
command: unknown, 
/**
 * Those that are not handed over come first.
 */
receipts: Array<Receipt>, id: number, 
/**
 * Who sent it.
 */
author: string, created: string, 
/**
 * `*` for all shops, `paris-1` or `paris-1/till-3`.
 */
to: string, 
/**
 * `message`, `price_list` or `order_status`.
 */
kind: string, 
/**
 * Of a message.
 */
text?: string, 
/**
 * Number of prices.
 */
prices?: number, currency?: string, order_id?: string, status?: string, };

export type CommandTargets = { tills: Array<string>, };
