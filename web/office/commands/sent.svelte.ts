/** The commands that were sent, and the receipts of the open one, read again every few seconds. */
import { Polling } from '../../src/lib/shops/polling';
import type { CommandDetails, CommandItem, CommandsPage } from '../lib/types';
import { readCommand, readCommands } from './api';

const REFRESH_MS = 5000;
const PAGE_LENGTH = 20;
/** As many as the office returns at once. */
const MAX_LENGTH = 200;

type Answer = { page: CommandsPage; details: CommandDetails | null };

export class SentCommands {
  /** `null` until the office has answered. */
  items = $state.raw<readonly CommandItem[] | null>(null);
  hasMore = $state(false);
  error = $state.raw<unknown>(null);
  /** The id of the command whose shops are shown. */
  open = $state<number | null>(null);
  /** Of the open command; `null` until the office has answered. */
  details = $state.raw<CommandDetails | null>(null);
  #length = PAGE_LENGTH;
  readonly #polling = new Polling<Answer>(
    {
      read: () => this.#read(),
      onAnswer: ({ page, details }) => {
        this.items = page.items;
        this.hasMore = page.next !== undefined && this.#length < MAX_LENGTH;
        if (details?.id === this.open) this.details = details;
        this.error = null;
      },
      onFailure: (error) => (this.error = error),
    },
    REFRESH_MS,
  );

  start(): () => void {
    return this.#polling.start();
  }

  refresh(): Promise<void> {
    return this.#polling.refresh();
  }

  toggle(id: number): void {
    this.open = this.open === id ? null : id;
    this.details = null;
    void this.refresh();
  }

  more(): void {
    this.#length = Math.min(MAX_LENGTH, this.#length + PAGE_LENGTH);
    void this.refresh();
  }

  async #read(): Promise<Answer> {
    const { open } = this;
    const [page, details] = await Promise.all([readCommands(this.#length), open === null ? null : readCommand(open)]);
    return { page, details };
  }
}
