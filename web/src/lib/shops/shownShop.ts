/** The shop whose sales a page shows. The URL names another shop in its parameter `store`. */
import type { Follow } from '../api/types';

/** A shop that is not this one. */
export type OtherShop =
  /** Another shop, whose sales this gateway knows. */
  | { kind: 'other'; store: string }
  /** This gateway knows no sales of such a shop. */
  | { kind: 'unknown'; store: string }
  /** The gateway has not answered yet. Until it has, nothing may be shown: not even this shop's sales. */
  | { kind: 'pending'; store: string };
export type ShownShop = { kind: 'own' } | OtherShop;

type Known = {
  /** The gateway's own shop, once it is known. */
  gateway: { store: string; follow: Follow } | null;
  /** The other shops, once they are known. */
  others: readonly string[] | null;
};

/** `parameter` is the value of `store` in the URL. */
export function shownShop(parameter: string | null, { gateway, others }: Known): ShownShop {
  const store = parameter ?? '';
  if (store === '' || store === gateway?.store) return { kind: 'own' };
  if (gateway === null) return { kind: 'pending', store };
  if (gateway.follow === 'own') return { kind: 'unknown', store };
  if (others === null) return { kind: 'pending', store };
  return { kind: others.includes(store) ? 'other' : 'unknown', store };
}

/** The query string, without `?`, of a URL that shows this shop's sales. */
export const queryOf = (shop: ShownShop): string =>
  shop.kind === 'own' ? '' : new URLSearchParams({ store: shop.store }).toString();
