import { describe, expect, it } from 'vitest';
import { addDays, dayFormats, dayIn, hasSameClock, isDay, knownZone } from './calendar';

describe('a day', () => {
  it.each(['2026-12-01', '2024-02-29', '0001-01-01'])('%s exists', (day) => expect(isDay(day)).toBe(true));
  it.each(['2026-02-29', '2026-13-01', '2026-1-1', 'today', '', '2026-12-01T00:00', '+2026-12-01'])(
    '"%s" does not exist',
    (day) => expect(isDay(day)).toBe(false),
  );

  it('is followed by the next one, also across months, years and the end of summer time', () => {
    expect(addDays('2026-12-31', 1)).toBe('2027-01-01');
    expect(addDays('2024-03-01', -1)).toBe('2024-02-29');
    expect(addDays('2026-10-25', 1)).toBe('2026-10-26');
  });

  it('begins at midnight in the shop’s time zone', () => {
    const at = new Date('2026-12-01T23:30:00Z');
    expect(dayIn('Europe/Paris', at)).toBe('2026-12-02');
    expect(dayIn('UTC', at)).toBe('2026-12-01');
    expect(dayIn('Pacific/Auckland', at)).toBe('2026-12-02');
  });

  it('is written in words, and its times are the shop’s', () => {
    const french = dayFormats('fr-FR', 'Europe/Paris');
    expect(french.day('2026-03-16')).toBe('lundi 16 mars 2026');
    expect(french.time(new Date('2026-03-16T15:40:00Z'))).toBe('16:40');
    expect(dayFormats('en-GB', 'America/New_York').time(new Date('2026-03-16T04:00:00Z'))).toBe('00:00');
  });
});

describe('a time zone', () => {
  it('that the browser does not know is UTC', () => {
    expect(knownZone('Mars/Olympus')).toBe('UTC');
    expect(knownZone('Europe/Paris')).toBe('Europe/Paris');
  });

  it('differs from another one only if their clocks do on this day', () => {
    const day = ['2026-12-01T23:00:00Z', '2026-12-02T23:00:00Z'];
    expect(hasSameClock('Europe/Paris', 'Europe/Brussels', day)).toBe(true);
    expect(hasSameClock('Europe/Paris', 'Europe/London', day)).toBe(false);
  });
});
