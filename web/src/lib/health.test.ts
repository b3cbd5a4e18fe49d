import { describe, expect, it } from 'vitest';
import type { Device, GatewayStatus } from './api/types';
import { worries } from './health';
import { en } from './i18n/en';
import { fr } from './i18n/fr';
import { formatsOf } from './i18n/format';

const up = { state: 'up', since: '' } as const;
const f = formatsOf('en-GB');
const status = (more: object = {}) => ({ mqtt: up, kafka: up, bridge: up, commands: up, clock: { state: 'synchronised' }, dead_letters: 0, journal: { refusing: false, pending: 2, lost: 0 }, ...more }) as GatewayStatus;
const till = (missing: [number, number][], reused = 0) => ({ device: 'till-3', missing, reused, epochs: [{ lost: [] }] }) as unknown as Device;

describe('is anything wrong?', () => {
  it('no, while all is up and nothing is missing', () => {
    expect(worries(status({ dead_letters: 3 }), [till([])], [], 0, en, f)).toEqual([]);
    expect(worries(status({ kafka: { ...up, state: 'off' }, bridge: { ...up, state: 'off' } }), [], [], 0, en, f)).toEqual([]);
  });

  it('yes: confirmed sales that the storage has lost are named, and are not a gap that may still close', () => {
    const damaged = { device: 'till-1', missing: [[14, 30], [33, 33]], epochs: [{ lost: [[14, 30], [33, 33]] }], reused: 0 } as unknown as Device;
    const found = worries(status({ journal: { refusing: false, pending: 0, lost: 18 } }), [damaged, till([])], [], 0, en, f);
    expect(found).toEqual([{ tone: 'bad', text: en.health.lost(18, 'till-1 14–30, 33') }]);
    expect(found[0]?.text).toContain('18 confirmed sales');
  });

  it('yes: a till that uses its numbers twice is named', () => {
    const [found] = worries(status(), [till([], 2)], [], 0, en, f);
    expect(found).toEqual({ tone: 'wait', text: en.health.reused('till-3') });
  });

  it('yes: what is lost comes before what is late', () => {
    const found = worries(status({ kafka: { ...up, state: 'down' }, bridge: { ...up, state: 'down' }, dead_letters: 1 }), [till([[1, 2]])], [], 1, en, f);
    expect(found.map((worry) => worry.tone)).toEqual(['bad', 'wait', 'wait']);
    expect(found[0]?.text).toContain('till-3');
    expect(found[1]?.text).toBe(en.bar.offline(2));
  });

  it('says what is the matter with the clock', () => {
    const unsynchronised = { clock: { state: 'unsynchronised' } };
    expect(worries(status(unsynchronised), [], [], 0, en, f).map((worry) => worry.text)).toEqual([en.health.clock]);
    const jump = (seconds: number) => ({ clock: { state: 'unknown', jump: { at: new Date().toISOString(), seconds } } });
    const [back] = worries(status(jump(-3600)), [], [], 0, en, f);
    expect(back?.text).toMatch(/set back by 1 hr? at \d\d:\d\d/);
    const [forward] = worries(status(jump(90)), [], [], 0, fr, formatsOf('fr-FR'));
    expect(forward?.text).toContain('avancée de 1\u00a0min');
  });
});
