/** The reader's filter and sort order. They are in the URL, so that a reload keeps them and a link shares them. */
import { DEFAULT_SORT, formatView, parseView, type Filter, type Sort } from './sorting';

class View {
  search = $state('');
  isOnlyTrouble = $state(false);
  sort = $state.raw<Sort>(DEFAULT_SORT);
  readonly filter: Filter = $derived({ search: this.search, isOnlyTrouble: this.isOnlyTrouble });

  constructor() {
    const { filter, sort } = parseView(location.search);
    this.search = filter.search;
    this.isOnlyTrouble = filter.isOnlyTrouble;
    this.sort = sort;
  }

  showAll(): void {
    this.search = '';
    this.isOnlyTrouble = false;
  }

  /** Call it in an effect: it runs with every change. */
  writeAddress(): void {
    const query = formatView(this.filter, this.sort);
    history.replaceState(null, '', query === '' ? location.pathname : `?${query}`);
  }
}

export const view = new View();
