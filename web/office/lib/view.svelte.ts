/** What the reader has chosen to see. The address has it, so that a reload keeps it and a link shows the same. */
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
