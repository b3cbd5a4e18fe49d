import { describe, expect, it } from 'vitest';
import { en } from '../i18n/common/en';
import { createFormats } from '../i18n/format';
import { describeComparison } from './comparison';
import type { Comparison } from './days';

const f = createFormats('en-GB');
const describeIt = (comparison: Comparison) => describeComparison(comparison, en.figure, f, (n) => `${n} pieces`);

describe('a comparison with yesterday', () => {
  it('names the change and its direction', () => {
    expect(describeIt({ kind: 'ratio', value: 0.12 })).toEqual({ text: en.figure.change('+12%'), direction: 'up' });
    expect(describeIt({ kind: 'difference', value: -3 })).toEqual({
      text: en.figure.change('-3 pieces'),
      direction: 'down',
    });
  });

  it('has no direction without a change, or without yesterday', () => {
    expect(describeIt({ kind: 'same' })).toEqual({ text: en.figure.same, direction: null });
    expect(describeIt({ kind: 'nothing' })).toEqual({ text: en.figure.noYesterday, direction: null });
  });
});
