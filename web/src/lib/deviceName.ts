import type { Messages } from './i18n/en';

/** The device name of events created on the gateway's own pages or through its API. No till has it. */
const COUNTER = 'counter';

export const isCounter = (device: string): boolean => device === COUNTER;

/** A device's name in the reader's language: a till's own name, or the counter's. */
export const deviceName = (device: string, m: Messages): string => (isCounter(device) ? m.gateway.counter : device);
