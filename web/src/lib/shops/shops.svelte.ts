/** The shops whose sales this gateway knows, and the shop that is shown. */
import { api } from '../api/http';
import { live } from '../live/store.svelte';
import { addressOf, orderPage, router } from '../router.svelte';
import { Polling } from './polling';
import { queryOf, shownShop, type ShownShop } from './shownShop';

/** A new shop appears once in a while. */
const REFRESH_MS = 60_000;

class Shops {
  /** The other shops by name; `null` until the gateway has named them. */
  others = $state.raw<readonly string[] | null>(null);
  /** Why the gateway could not name them. */
  error = $state.raw<unknown>(null);
  readonly #own = $derived(live.view.gateway?.store);
  readonly #follow = $derived(live.view.gateway?.follow);
  readonly shown: ShownShop = $derived(
    shownShop(router.parameter('store'), {
      gateway:
        this.#own === undefined || this.#follow === undefined ? null : { store: this.#own, follow: this.#follow },
      others: this.others,
    }),
  );
  /** The query string, without `?`, that keeps the shop in the address of another page. */
  readonly query = $derived(queryOf(this.shown));

  readonly #polling = new Polling(
    {
      read: api.shops,
      onAnswer: ({ own, others }) => {
        this.others = others.filter((store) => store !== own);
        this.error = null;
      },
      onFailure: (error) => (this.error = error),
    },
    REFRESH_MS,
  );

  get own(): string | undefined {
    return this.#own;
  }

  /** This gateway reads only its own sales, so there is no other shop to choose or to ask for. */
  get isOwnOnly(): boolean {
    return this.#follow === 'own';
  }

  get hasOthers(): boolean {
    return this.others !== null && this.others.length > 0;
  }

  /** Polls the list of shops. Call it in an effect. */
  watch(): (() => void) | undefined {
    if (this.#follow !== 'all') return undefined;
    const stop = this.#polling.start();
    return () => {
      stop();
      this.others = null;
      this.error = null;
    };
  }

  refresh(): Promise<void> {
    return this.#polling.refresh();
  }

  /** The address of an order's page. */
  addressOfOrder({ order_id, store }: { order_id: string; store: string }): string {
    return addressOf(orderPage(order_id), store === this.#own ? '' : queryOf({ kind: 'other', store }));
  }

  /** Shows another shop on the same page. */
  choose(store: string): void {
    router.go(router.page, store === this.#own ? '' : queryOf({ kind: 'other', store }));
  }
}

export const shops = new Shops();
