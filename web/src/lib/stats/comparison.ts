/** A comparison with yesterday in words, such as "+12 % vs. yesterday at this time". */
import type { CommonMessages } from '../i18n/common/en';
import type { Formats } from '../i18n/format';
import type { Comparison } from './days';

type Described = { text: string; direction: 'up' | 'down' | null };

export function describeComparison(
  comparison: Comparison,
  texts: CommonMessages['figure'],
  f: Formats,
  formatDifference: (n: number) => string,
): Described {
  if (!('value' in comparison)) {
    return { text: comparison.kind === 'same' ? texts.same : texts.noYesterday, direction: null };
  }
  const { kind, value } = comparison;
  const text = texts.change(kind === 'ratio' ? f.change(value) : formatDifference(value));
  return { text, direction: value > 0 ? 'up' : 'down' };
}
