/** The sentence of the bar at the top: the one thing that a shop must know about where its events are. */
import type { GatewayStatus } from '../api/types';
import type { Messages } from '../i18n/en';
import type { Contact } from './connection.svelte';

export type Verdict = { tone: 'quiet' | 'good' | 'wait' | 'bad'; text: string; more: string[] };

type Known = { contact: Contact; since: string; gateway: GatewayStatus | null; moment: (iso: string) => string; slow: boolean };

/** The worst comes first: what the page does not know, then what is not accepted, then what is not sent. */
export function verdict({ contact, since, gateway, moment, slow }: Known, m: Messages): Verdict {
  const said = (tone: Verdict['tone'], text: string, ...more: string[]): Verdict => ({ tone, text, more });
  if (contact === 'lost') return said('bad', m.bar.lost(since), m.bar.keep, m.bar.again);
  if (gateway === null) return said('quiet', m.bar.connecting);

  const { journal, kafka, bridge, mqtt } = gateway;
  const pending = journal.pending;
  const reached = slow && pending > 0 ? m.bar.sending(pending) : m.bar.up;
  const tills = mqtt.state === 'down' ? [m.bar.mqtt] : [];
  if (journal.refusing) return said('bad', m.bar.refusing, m.bar.keep, m.bar.full(pending), ...tills);
  if (kafka.state === 'off') return said('wait', m.bar.off(pending), ...tills);
  if (kafka.state === 'down') return said('wait', m.bar.offline(pending), ...tills, m.bar.since(moment(kafka.since)));
  if (bridge.state === 'down') return said('wait', m.bar.stuck(pending), ...tills, m.bar.since(moment(bridge.since)));
  // What is wrong leads: on a phone there is room for little more.
  if (mqtt.state === 'down') return said('wait', m.bar.mqtt, reached, m.bar.since(moment(mqtt.since)));
  return said('good', reached);
}
