import { describe, expect, it } from 'vitest';
import type { Device, GatewayStatus } from './api/types';
import { findIssues, type HealthInput } from './health';
import { en } from './i18n/en';
import { createFormats } from './i18n/format';
import { fr } from './i18n/fr';

const up = { state: 'up', since: '' } as const;
const down = { state: 'down', since: '' } as const;

const status = (more: object = {}) =>
  ({
    mqtt: up,
    kafka: up,
    bridge: up,
    commands: up,
    clock: { state: 'synchronised' },
    dead_letters: 0,
    journal: { refusing: false, pending: 2, lost: 0 },
    ...more,
  }) as GatewayStatus;

const till = (missing: [number, number][], more: object = {}) =>
  ({ device: 'till-3', missing, reused: 0, epochs: [{ lost: [] }], ...more }) as unknown as Device;

const input = (more: Partial<HealthInput> = {}): HealthInput => ({
  status: status(),
  devices: [],
  refused: [],
  settingsProblems: [],
  uplink: null,
  unresolvedDeadLetters: 0,
  ...more,
});
const issuesIn = (more: Partial<HealthInput>) => findIssues(input(more), en, createFormats('en-GB'));

describe('the health of a gateway', () => {
  it('has no issue while everything is up and nothing is missing', () => {
    expect(issuesIn({ status: status({ dead_letters: 3 }), devices: [till([])] })).toEqual([]);
  });

  it('has no issue without Kafka', () => {
    const off = { state: 'off', since: '' };
    expect(issuesIn({ status: status({ kafka: off, bridge: off }) })).toEqual([]);
  });

  it('says that only payments are sent while the day’s bytes are nearly used up', () => {
    const uplink = { mode: 'metered' as const, since: '', sent_bytes: 9, received_bytes: 1, events: 1, budget: 10 };
    expect(issuesIn({ uplink: { ...uplink, payments_only: false } })).toEqual([]);
    expect(issuesIn({ uplink: { ...uplink, payments_only: true } })).toEqual([
      { tone: 'wait', text: en.health.paymentsOnly },
    ]);
  });

  it('names confirmed sales that the storage has lost, and does not count them as a gap', () => {
    const ranges: [number, number][] = [
      [14, 30],
      [33, 33],
    ];
    const damaged = till(ranges, { device: 'till-1', epochs: [{ lost: ranges }] });
    const issues = issuesIn({
      status: status({ journal: { refusing: false, pending: 0, lost: 18 } }),
      devices: [damaged, till([])],
    });
    expect(issues).toEqual([{ tone: 'bad', text: en.health.lost(18, 'till-1 14–30, 33') }]);
    expect(issues[0]?.text).toContain('18 confirmed sales');
  });

  it('names the tills whose events are refused, by reason', () => {
    const refused = (device: string, reason: 'epochs' | 'pending_bytes') => ({
      store: 'paris-1',
      device,
      reason,
      count: 3,
      since: '',
      last: '',
    });
    const issues = issuesIn({
      refused: [refused('till-1', 'epochs'), refused('till-2', 'pending_bytes'), refused('till-3', 'epochs')],
    });
    expect(issues).toEqual([
      { tone: 'bad', text: en.health.refused.epochs('paris-1/till-1, paris-1/till-3') },
      { tone: 'bad', text: en.health.refused.pending_bytes('paris-1/till-2') },
    ]);
  });

  it('names a till that uses its sale numbers twice', () => {
    const [issue] = issuesIn({ devices: [till([], { reused: 2 })] });
    expect(issue).toEqual({ tone: 'wait', text: en.health.reused('till-3') });
  });

  it('names the counter in the reader’s language', () => {
    const counter = till([[7, 7]], { device: 'counter' });
    const [issue] = findIssues(input({ devices: [counter] }), fr, createFormats('fr-FR'));
    expect(issue?.text).toBe('Des événements manquent\u00a0: Comptoir');
  });

  it('lists losses before delays', () => {
    const issues = issuesIn({
      status: status({ kafka: down, bridge: down, dead_letters: 1 }),
      devices: [till([[1, 2]])],
      unresolvedDeadLetters: 1,
    });
    expect(issues.map(({ tone }) => tone)).toEqual(['bad', 'wait', 'wait']);
    expect(issues[0]?.text).toContain('till-3');
    expect(issues[1]?.text).toBe(en.bar.offline(2));
  });

  it('includes an unsynchronised clock', () => {
    expect(issuesIn({ status: status({ clock: { state: 'unsynchronised' } }) })).toEqual([
      { tone: 'wait', text: en.health.clock },
    ]);
  });

  it('includes a clock that was set back or forward', () => {
    const withJump = (seconds: number) =>
      status({ clock: { state: 'unknown', jump: { at: new Date().toISOString(), seconds } } });
    expect(issuesIn({ status: withJump(-3600) })[0]?.text).toMatch(/set back by 1 hr? at \d\d:\d\d/);
    const [forward] = findIssues(input({ status: withJump(90) }), fr, createFormats('fr-FR'));
    expect(forward?.text).toContain('avancée de 1\u00a0min');
  });
});
