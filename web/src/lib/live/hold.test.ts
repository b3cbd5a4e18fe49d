import { describe, expect, it } from 'vitest';
import { holdAfter, PARKED_MS, TOUCH_MS } from './hold';

const after = (pointerType: string, type: string, buttons = 0) => holdAfter({ pointerType, type, buttons });

describe('a list', () => {
  it('holds still while a mouse moves over it or presses, and moves again once the mouse has left', () => {
    for (const type of ['pointerenter', 'pointermove', 'pointerdown', 'pointerup']) {
      expect(after('mouse', type), type).toBe(PARKED_MS);
    }
    expect(after('mouse', 'pointerleave')).toBe(0);
  });

  it.each(['touch', 'pen'])('holds still until well after the click of a %s, which follows its leaving', (pointer) => {
    expect(after(pointer, 'pointerdown', 1)).toBe(PARKED_MS);
    for (const type of ['pointerup', 'pointerleave', 'pointercancel'])
      expect(after(pointer, type), type).toBe(TOUCH_MS);
  });
});
