import type { Device } from './api/types';

/** More rows than anybody reads, and few enough for a phone. */
export const AT_MOST = 200;

export const behind = (device: Device): boolean => device.in_kafka < device.stored;

/**
 * What needs somebody comes first: numbers that are missing; where not all can be shown, also who is behind. In a short list those
 * stay where they are: every till is behind for a moment with each sale, and its row would jump.
 */
export function mostUrgent(devices: readonly Device[], most = AT_MOST): { shown: Device[]; more: number } {
  const cut = devices.length > most;
  const rank = (device: Device) => (device.missing.length > 0 ? 0 : cut && behind(device) ? 1 : 2);
  const sorted = devices.map((device, i) => ({ device, i, rank: rank(device) })).sort((a, b) => a.rank - b.rank || a.i - b.i);
  return { shown: sorted.slice(0, most).map(({ device }) => device), more: Math.max(0, devices.length - most) };
}
