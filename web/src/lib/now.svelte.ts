/** One clock for the page. Once a second is enough for "for 12 s", and costs nothing. */
class Now {
  at = $state(new Date());
  /** Changes at midnight only: what depends on the day is not drawn anew every second. */
  readonly day = $derived(new Date(this.at.getFullYear(), this.at.getMonth(), this.at.getDate()).getTime());

  constructor() {
    setInterval(() => (this.at = new Date()), 1000);
  }
}

export const now = new Now();
