import { describe, expect, it } from 'vitest';
import type { GatewayStatus, Link } from '../api/types';
import { en } from '../i18n/en';
import { fr } from '../i18n/fr';
import { verdict } from './verdict';

const up: Link = { state: 'up', since: '2026-03-16T08:00:00Z' };
const down: Link = { state: 'down', since: '2026-03-16T14:00:00Z' };
const status = (more: Partial<GatewayStatus> & { pending?: number; refusing?: boolean } = {}): GatewayStatus => ({
  store: 'paris-1', version: '1', demo: false, mqtt: up, kafka: up, bridge: up, commands: up, clock: { state: 'unknown' }, consumer_group: null, partitions: [], dead_letters: 0,
  journal: { events: 0, pending: more.pending ?? 0, oldest_pending: null, bytes: 0, max_bytes: 1, refusing: more.refusing ?? false, first_offset: 0, last_offset: 0, watermark: 0, duplicates: 0, lost: 0 },
  ...more,
});
const say = (gateway: GatewayStatus | null, contact: 'live' | 'lost' | 'connecting' = 'live', m = en, slow = true) => verdict({ slow, contact, since: '14:03', gateway, moment: (iso) => iso.slice(11, 16) }, m);

describe('the bar', () => {
  it('says how many events are safe while Kafka is away', () => {
    expect(say(status({ kafka: down, bridge: down, pending: 1204 }))).toEqual({ tone: 'wait', text: 'Offline: 1,204 events are safe here and will be sent', more: ['since 14:00'] });
    expect(say(status({ kafka: down, pending: 1 })).text).toBe('Offline: 1 event is safe here and will be sent');
    expect(say(status({ kafka: down })).text).toContain('Kafka is not reached');
  });

  it('in French, with its plurals', () => {
    expect(say(status({ kafka: down, pending: 1 }), 'live', fr).text).toBe('Hors ligne : 1 événement est en sûreté ici et sera envoyé');
    expect(say(status({ kafka: down, pending: 2 }), 'live', fr).text).toContain('2 événements sont');
    expect(say(status({ kafka: down, pending: 1_000_000 }), 'live', fr).text).toMatch(/1.000.000 d’événements/);
  });

  it('claims nothing about Kafka when the gateway itself is not reached', () => {
    expect(say(status(), 'lost')).toMatchObject({ tone: 'bad', text: en.bar.lost('14:03') });
  });

  it('puts what is refused before what is merely late', () => {
    expect(say(status({ kafka: down, refusing: true, pending: 9 }))).toMatchObject({ tone: 'bad', text: en.bar.refusing });
  });

  it('does not speak of what is on its way for a moment only', () => {
    expect(say(status({ pending: 3 }), 'live', en, false).text).toBe(en.bar.up);
  });

  it('is not content while something is on its way for longer', () => {
    expect(say(status({ pending: 3 })).text).toBe('Kafka is reached: 3 events on their way');
    expect(say(status()).text).toBe('Kafka is reached: each event goes straight in');
  });

  it('knows a Kafka that is not set up, a stuck bridge, and tills that are cut off', () => {
    expect(say(status({ kafka: { ...up, state: 'off' }, pending: 5 })).text).toBe('No Kafka is set up: 5 events are stored here');
    expect(say(status({ bridge: down, pending: 2 })).tone).toBe('wait');
    expect(say(status({ mqtt: down }))).toMatchObject({ tone: 'wait', text: en.bar.mqtt, more: [en.bar.up, 'since 14:00'] });
    expect(say(status({ mqtt: down, kafka: down })).more[0]).toBe(en.bar.mqtt);
  });

  it('waits quietly for the first contact', () => {
    expect(say(null, 'connecting').tone).toBe('quiet');
  });
});
