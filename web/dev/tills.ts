/** The tills of the simulated shop, and the numbers of their events. */
import type { Device } from '../src/lib/api/types';
import { STORE, type Random } from './shop';

export const TILLS = ['till-1', 'till-2', 'till-3', 'till-4'];

type Till = { epoch: number; seq: number; confirmed: number };

export class DeviceTable {
  readonly #tills = new Map<string, Till>();
  readonly #store: string;

  constructor(random: Random, store = STORE) {
    this.#store = store;
    for (const till of [...TILLS, 'counter']) {
      this.#tills.set(till, { epoch: till === 'counter' ? 0 : Math.floor(random() * 1e9), seq: 0, confirmed: 0 });
    }
  }

  /** Advances the device's sequence number, and returns the `ce_id` of its next event. */
  nextEvent(device: string): string {
    const till = this.#tills.get(device) ?? { epoch: 0, seq: 0, confirmed: 0 };
    till.seq += 1;
    return `${this.#store}/${device}/${till.epoch}/${till.seq}`;
  }

  confirm(device: string): void {
    const till = this.#tills.get(device);
    if (till) till.confirmed += 1;
  }

  /** Two tills have a problem: till-3 is missing four events, and till-4 is offline. */
  devices(): Device[] {
    return [...this.#tills].map(([device, till]) => {
      const missing: [number, number][] = device === 'till-3' && till.seq > 60 ? [[41, 44]] : [];
      const missingCount = missing.length > 0 ? 4 : 0;
      const counts = {
        received: till.seq - missingCount,
        stored: till.seq - missingCount,
        in_kafka: till.confirmed - missingCount,
      };
      return {
        store: this.#store,
        device,
        online: device === 'counter' ? null : device !== 'till-4',
        epochs: [{ epoch: till.epoch, ...counts, elsewhere: 0, missing, lost: [] }],
        ...counts,
        pending_bytes: 0,
        missing,
        reused: 0,
      };
    });
  }
}
