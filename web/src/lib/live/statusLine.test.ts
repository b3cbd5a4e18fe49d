import { describe, expect, it } from 'vitest';
import type { GatewayStatus, Link } from '../api/types';
import { en } from '../i18n/en';
import { fr } from '../i18n/fr';
import { describeStatus } from './statusLine';

const up: Link = { state: 'up', since: '2026-03-16T08:00:00Z' };
const down: Link = { state: 'down', since: '2026-03-16T14:00:00Z' };

type StatusOptions = Partial<GatewayStatus> & { pending?: number; refusing?: boolean };

const status = ({ pending = 0, refusing = false, ...more }: StatusOptions = {}): GatewayStatus => ({
  store: 'paris-1',
  version: '1',
  demo: false,
  invent: false,
  mqtt: up,
  kafka: up,
  bridge: up,
  commands: up,
  clock: { state: 'unknown' },
  follow: 'own',
  consumer_group: null,
  partitions: [],
  dead_letters: 0,
  journal: {
    events: 0,
    pending,
    oldest_pending: null,
    bytes: 0,
    max_bytes: 1,
    refusing,
    first_offset: 0,
    last_offset: 0,
    watermark: 0,
    duplicates: 0,
    lost: 0,
  },
  ...more,
});

const lineOf = (
  gateway: GatewayStatus | null,
  connection: 'live' | 'lost' | 'connecting' = 'live',
  m = en,
  isSlow = true,
) => describeStatus({ connection, since: '14:03', gateway, formatMoment: (iso) => iso.slice(11, 16), isSlow }, m);

describe('the status bar', () => {
  it('counts the events that are safe while Kafka is unreachable', () => {
    expect(lineOf(status({ kafka: down, bridge: down, pending: 1204 }))).toEqual({
      tone: 'wait',
      text: 'Offline: 1,204 events are safe here and will be sent later',
      more: ['since 14:00'],
    });
    expect(lineOf(status({ kafka: down, pending: 1 })).text).toBe(
      'Offline: 1 event is safe here and will be sent later',
    );
    expect(lineOf(status({ kafka: down })).text).toContain('Kafka is unreachable');
  });

  it('uses French plurals', () => {
    const text = (pending: number) => lineOf(status({ kafka: down, pending }), 'live', fr).text;
    expect(text(1)).toBe('Hors ligne\u00a0: 1 événement est en sécurité ici et partira plus tard');
    expect(text(2)).toContain('2 événements sont');
    expect(text(1_000_000)).toMatch(/1.000.000 d’événements/);
  });

  it('claims nothing about Kafka while the gateway is unreachable', () => {
    expect(lineOf(status(), 'lost')).toMatchObject({
      tone: 'bad',
      text: 'This page has had no connection to the gateway since 14:03',
    });
  });

  it('does not say that the gateway or the tills have a problem if it may be this page’s own connection', () => {
    for (const m of [en, fr]) {
      const { text, more } = lineOf(status(), 'lost', m);
      expect([text, ...more].join()).not.toMatch(/unreachable|keeping|injoignable|gardent/);
      expect(more).toContain(m.bar.selling);
    }
  });

  it('mentions refused events before late ones', () => {
    expect(lineOf(status({ kafka: down, refusing: true, pending: 9 }))).toMatchObject({
      tone: 'bad',
      text: en.bar.refusing,
    });
  });

  it('ignores events that have been waiting only for a moment', () => {
    expect(lineOf(status({ pending: 3 }), 'live', en, false).text).toBe(en.bar.up);
  });

  it('counts events that have been waiting for longer', () => {
    expect(lineOf(status({ pending: 3 })).text).toBe('Connected to Kafka. Sending 3 events…');
    expect(lineOf(status()).text).toBe('Connected to Kafka. Sales are sent as they happen.');
  });

  it('shows that Kafka is not set up', () => {
    expect(lineOf(status({ kafka: { ...up, state: 'off' }, pending: 5 })).text).toBe(
      'Kafka is not set up: 5 events are stored here',
    );
  });

  it('shows that the bridge is stuck', () => {
    expect(lineOf(status({ bridge: down, pending: 2 }))).toMatchObject({ tone: 'wait', text: en.bar.stuck(2) });
  });

  it('shows that the tills are cut off, whatever Kafka’s state', () => {
    expect(lineOf(status({ mqtt: down }))).toMatchObject({
      tone: 'wait',
      text: en.bar.mqtt,
      more: [en.bar.up, 'since 14:00'],
    });
    expect(lineOf(status({ mqtt: down, kafka: down })).more[0]).toBe(en.bar.mqtt);
  });

  it('is quiet until the first connection', () => {
    expect(lineOf(null, 'connecting').tone).toBe('quiet');
  });
});
