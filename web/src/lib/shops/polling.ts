/**
 * Reads something again and again while the page is visible. The gateway pushes only this shop's sales: those of other
 * shops have to be asked for.
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
  /** Counts the reads: only the answer to the latest one counts. */
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

  /** Reads now, possibly something else, whose answer replaces that of a read under way. */
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
