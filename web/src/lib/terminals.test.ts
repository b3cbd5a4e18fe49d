import { describe, expect, it } from 'vitest';
import type { Device } from './api/types';
import { mostUrgent } from './terminals';

const till = (n: number, more: Partial<Device> = {}): Device => ({ store: 's', device: `till-${n}`, online: true, epochs: [], received: 9, stored: 9, in_kafka: 9, missing: [], reused: 0, ...more });
const names = (all: Device[]) => all.map((d) => d.device);

describe('many terminals', () => {
  it('show the ones that need somebody, and say how many more there are', () => {
    const all = Array.from({ length: 1000 }, (_, n) => till(n));
    all[900] = till(900, { missing: [[3, 4]] });
    all[950] = till(950, { in_kafka: 2 });
    const { shown, more } = mostUrgent(all);
    expect(names(shown).slice(0, 3)).toEqual(['till-900', 'till-950', 'till-0']);
    expect([shown.length, more]).toEqual([200, 800]);
  });

  it('that fit stay in their places, except where numbers are missing', () => {
    const { shown, more } = mostUrgent([till(1), till(2, { in_kafka: 1 }), till(3, { missing: [[1, 1]] })]);
    expect(names(shown)).toEqual(['till-3', 'till-1', 'till-2']);
    expect(more).toBe(0);
  });
});
