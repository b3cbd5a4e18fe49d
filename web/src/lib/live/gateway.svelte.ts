/**
 * What the gateway page shows beyond what is pushed: terminals, the backlog's last hour, what is wrong with the settings. Asked for every few seconds
 * while the page is open; between two answers the pushed status extends the backlog.
 */
import { api } from '../api/http';
import type { BacklogPoint, Device, GatewayStatus, SettingsProblem } from '../api/types';
import { connection } from './connection.svelte';
import { live } from './store.svelte';

const EVERY_MS = 5000;
const HOUR_MS = 3_600_000;

const isoOf = (at: number) => new Date(at).toISOString();

export function watchGateway() {
  let devices = $state.raw<Device[] | null>(null);
  let asked = $state.raw<BacklogPoint[]>([]);
  let settingsProblems = $state.raw<SettingsProblem[]>([]);
  const status: GatewayStatus | null = $derived(live.shown.gateway);

  async function ask() {
    if (document.hidden) return;
    try {
      const answer = await api.gateway();
      devices = answer.devices;
      asked = answer.backlog;
      settingsProblems = answer.settings_problems;
    } catch {
      // The bar at the top says that the gateway is not reached; what was known stays.
    }
  }

  $effect(() => {
    // Anew after each reconnection: what was asked of the gateway before may be long over.
    if (connection.contact !== 'live') return;
    void ask();
    const timer = setInterval(() => void ask(), EVERY_MS);
    return () => clearInterval(timer);
  });

  const backlog = $derived.by(() => {
    const last = asked.at(-1);
    const latest = connection.asOf.getTime();
    const points = asked.filter((p) => latest - Date.parse(p.at) <= HOUR_MS);
    if (status && (!last || Date.parse(last.at) < latest)) points.push({ at: isoOf(latest), pending: status.journal.pending });
    return points;
  });

  return {
    get devices() {
      return devices;
    },
    get settingsProblems() {
      return settingsProblems;
    },
    get backlog() {
      return backlog;
    },
  };
}
