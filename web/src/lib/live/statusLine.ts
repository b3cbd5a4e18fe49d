/** The text of the status bar: where the shop's events are, in one sentence. */
import type { GatewayStatus } from '../api/types';
import type { Messages } from '../i18n/en';
import type { ConnectionState } from './connection.svelte';

export type StatusLine = { tone: 'quiet' | 'good' | 'wait' | 'bad'; text: string; more: string[] };

type StatusInput = {
  connection: ConnectionState;
  /** The time of day at which the connection entered its state. */
  since: string;
  gateway: GatewayStatus | null;
  formatMoment: (iso: string) => string;
  /** Events have been waiting for Kafka for longer than usual. */
  isSlow: boolean;
};

/** The worst comes first: the gateway is unreachable, then it refuses events, then it does not send them. */
export function describeStatus(
  { connection, since, gateway, formatMoment, isSlow }: StatusInput,
  m: Messages,
): StatusLine {
  const line = (tone: StatusLine['tone'], text: string, ...more: string[]): StatusLine => ({ tone, text, more });
  if (connection === 'lost') return line('bad', m.bar.lost(since), m.bar.selling, m.bar.again);
  if (gateway === null) return line('quiet', m.bar.connecting);

  const { journal, kafka, bridge, mqtt } = gateway;
  const pending = journal.pending;
  const connected = isSlow && pending > 0 ? m.bar.sending(pending) : m.bar.up;
  const sinceWhen = (iso: string) => m.bar.since(formatMoment(iso));
  const mqttDown = mqtt.state === 'down' ? [m.bar.mqtt] : [];
  if (journal.refusing) return line('bad', m.bar.refusing, m.bar.keep, m.bar.full(pending), ...mqttDown);
  if (kafka.state === 'off') return line('wait', m.bar.off(pending), ...mqttDown);
  if (kafka.state === 'down') return line('wait', m.bar.offline(pending), ...mqttDown, sinceWhen(kafka.since));
  if (bridge.state === 'down') return line('wait', m.bar.stuck(pending), ...mqttDown, sinceWhen(bridge.since));
  // The problem leads: a phone has room for little more.
  if (mqtt.state === 'down') return line('wait', m.bar.mqtt, connected, sinceWhen(mqtt.since));
  return line('good', connected);
}
