/** The page's clock. It ticks once a second: often enough for "for 12 s". */
class Now {
  at = $state(new Date());
  /** Midnight of today. Changes once a day, so that views of the day do not render every second. */
  readonly day = $derived(new Date(this.at.getFullYear(), this.at.getMonth(), this.at.getDate()).getTime());
  readonly #minute = $derived(Math.floor(this.at.getTime() / 60_000));
  /** The beginning of this minute. Often enough for a comparison with yesterday. */
  readonly minute = $derived(new Date(this.#minute * 60_000));

  constructor() {
    setInterval(() => (this.at = new Date()), 1000);
  }
}

export const now = new Now();
