/** Reads the comparison of a choice. Only the answer to the latest choice counts. */
import { get } from '../../src/lib/api/http';
import type { Comparison } from '../lib/types';
import { formatApiQuery, type Choice } from './comparison';

export type ReadComparison = (choice: Choice) => Promise<Comparison>;

const read: ReadComparison = (choice) =>
  get<Comparison>(
    `/api/comparison?${formatApiQuery(choice, Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC')}`,
  );

export class ComparisonReader {
  /** `null` until the office has answered. */
  comparison = $state.raw<Comparison | null>(null);
  /** Why the latest choice could not be read, or `null`. */
  error = $state.raw<unknown>(null);
  isReading = $state(false);
  #latest = 0;

  /** Keeps showing the former choice until the answer is there. */
  async show(choice: Choice): Promise<void> {
    this.#latest += 1;
    const current = this.#latest;
    this.isReading = true;
    try {
      const comparison = await read(choice);
      if (current !== this.#latest) return;
      this.comparison = comparison;
      this.error = null;
    } catch (error) {
      if (current !== this.#latest) return;
      this.comparison = null;
      this.error = error;
    } finally {
      if (current === this.#latest) this.isReading = false;
    }
  }
}
