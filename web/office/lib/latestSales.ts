/** The time of each shop's latest sale, as live events say it, until the overview says it, too. */
import type { LiveEvent } from './liveEvents';
import type { Overview } from './types';

/** A busy chain sells many times a second. */
const GATHER_MS = 250;

const later = (a: string | undefined, b: string): string => (a !== undefined && Date.parse(a) >= Date.parse(b) ? a : b);

export class LatestSales {
  readonly #latest = new Map<string, string>();
  readonly #onChange: () => void;
  #isDue = false;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  add({ sale, appended }: LiveEvent): void {
    if (Number.isNaN(Date.parse(appended))) return;
    this.#latest.set(sale.store, later(this.#latest.get(sale.store), appended));
    if (this.#isDue) return;
    this.#isDue = true;
    setTimeout(() => {
      this.#isDue = false;
      this.#onChange();
    }, GATHER_MS);
  }

  applyTo(overview: Overview): Overview {
    const shops = overview.shops.map((shop) => {
      const latest = this.#latest.get(shop.store);
      return latest === undefined
        ? shop
        : { ...shop, sold: later(shop.sold, latest), heard: later(shop.heard, latest) };
    });
    return { ...overview, shops };
  }
}
