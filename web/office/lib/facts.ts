import type { Shop } from './types';

/** The figures of a shop beside its name and its troubles. */
export const FACTS = ['heard', 'waiting', 'check', 'gateway', 'storage', 'tills', 'today'] as const;
export type Fact = (typeof FACTS)[number];

/** The figure may have changed since: the gateway has not said anything for too long. */
export const isStale = ({ troubles }: Shop, fact: Fact): boolean =>
  fact !== 'heard' && fact !== 'today' && troubles.includes('silent');
