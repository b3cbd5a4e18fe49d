import { describe, expect, it } from 'vitest';
import type { Device } from './api/types';
import { selectTills } from './tills';

const till = (n: number, more: Partial<Device> = {}): Device => ({
  store: 's',
  device: `till-${n}`,
  online: true,
  epochs: [],
  received: 9,
  stored: 9,
  in_kafka: 9,
  pending_bytes: 0,
  missing: [],
  reused: 0,
  ...more,
});
const names = (tills: Device[]) => tills.map(({ device }) => device);

describe('the selection of tills', () => {
  it('begins with those that need attention and counts the hidden ones', () => {
    const tills = Array.from({ length: 1000 }, (_, n) => till(n));
    tills[900] = till(900, { missing: [[3, 4]] });
    tills[950] = till(950, { in_kafka: 2 });
    const { shown, hiddenCount } = selectTills(tills);
    expect(names(shown).slice(0, 3)).toEqual(['till-900', 'till-950', 'till-0']);
    expect([shown.length, hiddenCount]).toEqual([200, 800]);
  });

  it('moves only tills with missing numbers if all tills fit', () => {
    const { shown, hiddenCount } = selectTills([till(1), till(2, { in_kafka: 1 }), till(3, { missing: [[1, 1]] })]);
    expect(names(shown)).toEqual(['till-3', 'till-1', 'till-2']);
    expect(hiddenCount).toBe(0);
  });
});
