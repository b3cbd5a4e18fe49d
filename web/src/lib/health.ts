/** Is anything wrong? What a person would have to look at, the worst first, as one short list. */
import type { ClockJump, Device, GatewayStatus, SettingsProblem } from './api/types';
import type { Messages } from './i18n/en';
import type { Formats } from './i18n/format';

export type Worry = { tone: 'bad' | 'wait'; text: string };

const range = ([from, to]: [number, number]): string => (from === to ? `${from}` : `${from}–${to}`);
const first = (names: string[], between = ', '): string => names.slice(0, 3).join(between) + (names.length > 3 ? `${between}…` : '');

/** `deadLetters`: those that were not taken in since; the gateway's count is of all that it keeps. */
export function worries(status: GatewayStatus, devices: readonly Device[], settings: readonly SettingsProblem[], deadLetters: number, m: Messages, f: Formats): Worry[] {
  const { clock, commands } = status;
  const lost = devices.map(({ device, epochs }) => ({ device, ranges: epochs.flatMap((epoch) => epoch.lost) })).filter(({ ranges }) => ranges.length > 0);
  const reusing = devices.filter((device) => device.reused > 0).map(({ device }) => device);
  const gaps = devices.filter((device) => device.missing.length > device.epochs.flatMap((epoch) => epoch.lost).length).map(({ device }) => device);
  const found: (Worry | false)[] = [
    status.journal.refusing && { tone: 'bad', text: m.bar.refusing },
    status.journal.lost > 0 && { tone: 'bad', text: m.health.lost(status.journal.lost, first(lost.map(({ device, ranges }) => `${device} ${first(ranges.map(range))}`), '; ')) },
    gaps.length > 0 && { tone: 'bad', text: m.health.missing(first(gaps)) },
    reusing.length > 0 && { tone: 'wait', text: m.health.reused(first(reusing)) },
    settings.length > 0 && { tone: 'bad', text: m.gateway.settings },
    status.mqtt.state === 'down' && { tone: 'wait', text: m.bar.mqtt },
    status.kafka.state === 'down' && { tone: 'wait', text: m.bar.offline(status.journal.pending) },
    status.kafka.state === 'up' && status.bridge.state === 'down' && { tone: 'wait', text: m.bar.stuck(status.journal.pending) },
    status.kafka.state === 'up' && commands.state === 'down' && { tone: 'wait', text: m.health.commands },
    clock.state === 'unsynchronised' && { tone: 'wait', text: m.health.clock },
    clock.jump !== undefined && { tone: 'wait', text: jumped(clock.jump, m, f) },
    deadLetters > 0 && { tone: 'wait', text: m.health.dead(deadLetters) },
  ];
  return found.filter((one) => one !== false);
}

function jumped({ at, seconds }: ClockJump, m: Messages, f: Formats): string {
  const by = f.lasting(Math.abs(seconds) * 1000);
  return seconds < 0 ? m.health.clockBack(by, f.moment(at)) : m.health.clockForward(by, f.moment(at));
}
