import { expect, it } from 'vitest';
import { createFormats } from '../i18n/format';
import { shortMoment } from './shortMoment';

it('shortens the times of today only', () => {
  const now = new Date(2026, 2, 16, 10, 30);
  const midnight = new Date(2026, 2, 16).getTime();
  const f = createFormats('en-GB', () => now);
  expect(shortMoment(new Date(2026, 2, 16, 0, 0, 5), f, midnight)).toBe('00:00');
  expect(shortMoment(new Date(2026, 2, 15, 23, 58), f, midnight)).toBe('yesterday 23:58');
});
