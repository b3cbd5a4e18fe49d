/** The reader's filter and sort order. They are in the URL, so that a reload keeps them and a link shares them. */
import { router } from './router';
import { formatView, parseView, type Filter, type Sort } from './sorting';

class View {
  readonly #view = $derived(parseView(router.query));
  readonly filter: Filter = $derived(this.#view.filter);

  get search(): string {
    return this.filter.search;
  }

  set search(search: string) {
    this.#write({ ...this.filter, search }, this.sort);
  }

  get isOnlyTrouble(): boolean {
    return this.filter.isOnlyTrouble;
  }

  set isOnlyTrouble(isOnlyTrouble: boolean) {
    this.#write({ ...this.filter, isOnlyTrouble }, this.sort);
  }

  get sort(): Sort {
    return this.#view.sort;
  }

  set sort(sort: Sort) {
    this.#write(this.filter, sort);
  }

  showAll(): void {
    this.#write({ search: '', isOnlyTrouble: false }, this.sort);
  }

  #write(filter: Filter, sort: Sort): void {
    router.setQuery(formatView(filter, sort), { isNewEntry: false });
  }
}

export const view = new View();
