import type { Shop } from './types';

/** The figures of a shop beside its name and its troubles. */
export const FACTS = ['heard', 'waiting', 'check', 'gateway', 'storage', 'tills', 'today'] as const;
export type Fact = (typeof FACTS)[number];

/** The figure may be out of date, because the shop has been silent for too long. */
export const isStale = ({ troubles }: Shop, fact: Fact): boolean =>
  fact !== 'heard' && fact !== 'today' && troubles.includes('silent');
