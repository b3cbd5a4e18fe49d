import { describe, expect, it } from 'vitest';
import { decodeBase64, formatHexDump, formatText } from './bytes';

describe('the bytes of a dead letter', () => {
  const bytes = decodeBase64(btoa('\u0009{"a"\u0000\u00ff'));

  it('are decoded unchanged', () => {
    expect([...bytes]).toEqual([9, 0x7b, 0x22, 0x61, 0x22, 0, 0xff]);
  });

  it('are all visible as text', () => {
    expect(formatText(bytes)).toBe('\t{"a"\u2400\ufffd');
  });

  it('are all visible as a hex dump', () => {
    expect(formatHexDump(bytes)).toBe('0000  09 7b 22 61 22 00 ff                             .{"a"..');
  });
});
