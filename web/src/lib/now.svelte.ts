/** One clock for the page. Once a second is enough for "for 12 s", and costs nothing. */
class Now {
  at = $state(new Date());

  constructor() {
    setInterval(() => (this.at = new Date()), 1000);
  }
}

export const now = new Now();
