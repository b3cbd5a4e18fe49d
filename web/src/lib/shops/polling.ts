/**
 * Polls while the page is visible. The gateway pushes only this shop's sales, so the pages poll for those of other
 * shops.
 */
export type Reader<T> = {
  read: () => Promise<T>;
  onAnswer: (value: T) => void;
  onFailure: (error: unknown) => void;
};

export const REFRESH_SECONDS = 10;

export class Polling<T> {
  readonly #reader: Reader<T>;
  readonly #intervalMs: number;
  /** The number of the latest read. Responses to earlier reads are ignored. */
  #latest = 0;
  #isReading = false;

  constructor(reader: Reader<T>, intervalMs = REFRESH_SECONDS * 1000) {
    this.#reader = reader;
    this.#intervalMs = intervalMs;
  }

  /** Reads at once, then at every interval. Returns the function that stops it. */
  start(): () => void {
    const refreshIfVisible = () => {
      if (!document.hidden && !this.#isReading) void this.refresh();
    };
    const timer = setInterval(refreshIfVisible, this.#intervalMs);
    document.addEventListener('visibilitychange', refreshIfVisible);
    refreshIfVisible();
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', refreshIfVisible);
      this.#latest += 1;
      this.#isReading = false;
    };
  }

  /** Reads now, by default with the usual reader. Responses to a read that is still under way are ignored. */
  async refresh({ read, onAnswer, onFailure }: Reader<T> = this.#reader): Promise<void> {
    this.#latest += 1;
    const current = this.#latest;
    this.#isReading = true;
    try {
      const value = await read();
      if (current === this.#latest) onAnswer(value);
    } catch (error) {
      if (current === this.#latest) onFailure(error);
    } finally {
      if (current === this.#latest) this.#isReading = false;
    }
  }
}
