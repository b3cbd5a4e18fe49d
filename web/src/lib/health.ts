/** Finds the issues that somebody has to look at, the worst first. */
import type {
  ClockJump,
  Device,
  GatewayStatus,
  RefusalReason,
  RefusedDevice,
  SettingsProblem,
  Uplink,
} from './api/types';
import { deviceName } from './deviceName';
import type { Messages } from './i18n/en';
import type { Formats } from './i18n/format';

export type Issue = { tone: 'bad' | 'wait'; text: string };

const MAX_NAMES = 3;

const formatRange = ([from, to]: [number, number]): string => (from === to ? `${from}` : `${from}–${to}`);

const joinFirst = (names: string[], separator = ', '): string =>
  names.slice(0, MAX_NAMES).join(separator) + (names.length > MAX_NAMES ? `${separator}…` : '');

export type HealthInput = {
  status: GatewayStatus;
  devices: readonly Device[];
  /** Devices whose events the gateway refuses. */
  refused: readonly RefusedDevice[];
  settingsProblems: readonly SettingsProblem[];
  uplink: Uplink | null;
  /** Dead letters that no retry has stored. `status.dead_letters` counts all that the gateway keeps. */
  unresolvedDeadLetters: number;
};

export function findIssues(
  { status, devices, refused, settingsProblems, uplink, unresolvedDeadLetters }: HealthInput,
  m: Messages,
  f: Formats,
): Issue[] {
  const { clock, journal, mqtt, kafka, bridge, commands } = status;
  const lostRanges = ({ epochs }: Device) => epochs.flatMap((epoch) => epoch.lost);
  const withLosses = devices.filter((device) => lostRanges(device).length > 0);
  const losses = withLosses.map(
    (device) => `${deviceName(device.device, m)} ${joinFirst(lostRanges(device).map(formatRange))}`,
  );
  const withGaps = devices.filter((device) => device.missing.length > lostRanges(device).length);
  const withReuse = devices.filter((device) => device.reused > 0);
  const names = (of: Device[]) => joinFirst(of.map(({ device }) => deviceName(device, m)));
  const isConnected = kafka.state === 'up';
  const issues: (Issue | false)[] = [
    journal.refusing && { tone: 'bad', text: m.bar.refusing },
    journal.lost > 0 && { tone: 'bad', text: m.health.lost(journal.lost, joinFirst(losses, ' · ')) },
    ...refusalsByReason(refused).map(([reason, names]) => ({
      tone: 'bad' as const,
      text: m.health.refused[reason](joinFirst(names)),
    })),
    withGaps.length > 0 && { tone: 'bad', text: m.health.missing(names(withGaps)) },
    withReuse.length > 0 && { tone: 'wait', text: m.health.reused(names(withReuse)) },
    settingsProblems.length > 0 && { tone: 'bad', text: m.gateway.settings },
    mqtt.state === 'down' && { tone: 'wait', text: m.bar.mqtt },
    kafka.state === 'down' && { tone: 'wait', text: m.bar.offline(journal.pending) },
    isConnected && bridge.state === 'down' && { tone: 'wait', text: m.bar.stuck(journal.pending) },
    uplink?.payments_only === true && { tone: 'wait', text: m.health.paymentsOnly },
    isConnected && commands.state === 'down' && { tone: 'wait', text: m.health.commands },
    clock.state === 'unsynchronised' && { tone: 'wait', text: m.health.clock },
    clock.jump !== undefined && { tone: 'wait', text: describeJump(clock.jump, m, f) },
    unresolvedDeadLetters > 0 && { tone: 'wait', text: m.health.dead(unresolvedDeadLetters) },
  ];
  return issues.filter((issue) => issue !== false);
}

function refusalsByReason(refused: readonly RefusedDevice[]): [RefusalReason, string[]][] {
  const names = new Map<RefusalReason, string[]>();
  for (const { store, device, reason } of refused) {
    names.set(reason, [...(names.get(reason) ?? []), `${store}/${device}`]);
  }
  return [...names];
}

function describeJump({ at, seconds }: ClockJump, m: Messages, f: Formats): string {
  const by = f.duration(Math.abs(seconds) * 1000);
  return seconds < 0 ? m.health.clockBack(by, f.moment(at)) : m.health.clockForward(by, f.moment(at));
}
