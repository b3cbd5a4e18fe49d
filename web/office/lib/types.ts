// Generated from gateway/office/src/overview.rs and sales.rs by `make types`. Do not edit.

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
 * The JSON as the gateway wrote it.
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
