import { describe, expect, it } from 'vitest';
import { Refusal } from './api/http';
import { notStored, reason } from './failure';
import { en } from './i18n/en';

const refused = (status: number, detail: string, field?: string) => new Refusal({ type: 'about:blank', title: '', status, detail, ...(field ? { field } : {}) });
const said = (error: Refusal) => notStored(error, 'Not stored', en).text;

describe('a failure', () => {
  it('is "not stored" only where that is certain', () => {
    expect(said(refused(422, 'amount: negative', 'amount'))).toContain('Not stored');
    expect(said(refused(503, 'the journal is full: 9 of 9 bytes'))).toContain('Not stored');
    for (const unsure of [new Refusal(null), refused(500, 'x is stored, but could not be shown'), refused(502, 'Bad gateway'), refused(503, 'the journal could not be read: disk')]) {
      expect(said(unsure)).toBe(en.failure.unknown);
    }
  });

  it('has the reason that it has, and the gateway’s words behind it', () => {
    expect(reason(refused(503, 'the journal is full: 9 of 9 bytes'), en)).toEqual({ text: en.failure.full });
    expect(reason(refused(503, 'the journal could not be written: disk full'), en)).toEqual({ text: en.failure.disk, details: 'the journal could not be written: disk full' });
    expect(reason(refused(503, 'the journal is closed'), en).text).toBe(en.failure.busy);
    expect(reason(refused(422, 'order_id: too long', 'order_id'), en)).toEqual({ text: en.failure.field['order_id'], details: 'order_id: too long' });
    expect(reason(refused(422, 'lines[2].unit_price: no', 'lines[2].unit_price'), en).text).toBe(en.failure.invalid);
    expect(reason(refused(409, 'taken in already'), en).text).toBe(en.failure.already);
  });
});
