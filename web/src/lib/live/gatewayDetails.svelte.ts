/**
 * Details for the gateway page that the gateway does not push: tills, the backlog of the last hour, the traffic with
 * Kafka, and settings problems. The page polls them while it is open; between two polls, the pushed status extends the backlog.
 */
import { api } from '../api/http';
import type { BacklogPoint, Device, GatewayStatus, RefusedDevice, SettingsProblem, Uplink } from '../api/types';
import { connection } from './connection.svelte';
import { live } from './store.svelte';

const POLL_INTERVAL_MS = 5000;
const HOUR_MS = 3_600_000;

export function pollGatewayDetails() {
  let devices = $state.raw<Device[] | null>(null);
  let polledBacklog = $state.raw<BacklogPoint[]>([]);
  let refused = $state.raw<RefusedDevice[]>([]);
  let uplink = $state.raw<Uplink | null>(null);
  let settingsProblems = $state.raw<SettingsProblem[]>([]);
  const status: GatewayStatus | null = $derived(live.view.gateway);

  async function poll() {
    if (document.hidden) return;
    try {
      const answer = await api.gateway();
      devices = answer.devices;
      refused = answer.refused;
      polledBacklog = answer.backlog;
      uplink = answer.uplink;
      settingsProblems = answer.settings_problems;
    } catch {
      // The status bar says that the gateway is unreachable; the last answer stays.
    }
  }

  $effect(() => {
    // Polls at once after each reconnection: the last answer may be long out of date.
    if (connection.state !== 'live') return;
    void poll();
    const timer = setInterval(() => void poll(), POLL_INTERVAL_MS);
    return () => clearInterval(timer);
  });

  const backlog = $derived.by(() => {
    const last = polledBacklog.at(-1);
    const latest = connection.asOf.getTime();
    const points = polledBacklog.filter((point) => latest - Date.parse(point.at) <= HOUR_MS);
    if (status && (!last || Date.parse(last.at) < latest)) {
      points.push({ at: connection.asOf.toISOString(), pending: status.journal.pending });
    }
    return points;
  });

  return {
    get devices() {
      return devices;
    },
    get refused() {
      return refused;
    },
    get settingsProblems() {
      return settingsProblems;
    },
    get backlog() {
      return backlog;
    },
    get uplink() {
      return uplink;
    },
  };
}
