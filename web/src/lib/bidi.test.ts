import { describe, expect, it } from 'vitest';
import { isolate } from './bidi';

describe('text from outside', () => {
  it('cannot reorder the text beside it', () => {
    expect(isolate('דנה')).toBe('\u2068דנה\u2069');
    expect(isolate('a\u202eb\u2069c')).toBe('\u2068abc\u2069');
  });

  it('stays unchanged if it is written from left to right', () => {
    expect([isolate(''), isolate('Zoé & fils, 東京')]).toEqual(['', 'Zoé & fils, 東京']);
  });
});
