const KEY = 'comptoir.drafts';

type Stored = { owner: string; values: Record<string, unknown> };
type DraftStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/**
 * Form contents that were typed but not sent, or sent without a response. They outlive the form, the session and a
 * reload of this tab, but only for the same person: another person who signs in at this browser must not see them. No
 * form may save personal data of customers, or passwords.
 */
export class Drafts {
  /** Empty until somebody signs in. Without sign-in, everybody counts as the same person. */
  #owner = '';
  /** Set by sign-out, after which forms that are still open save nothing. */
  #isClosed = false;
  #values = new Map<string, unknown>();
  readonly #storage: DraftStorage | null;

  constructor(storage: DraftStorage | null) {
    this.#storage = storage;
    this.#load();
  }

  /** Sets the owner: the signed-in person's name, or empty without sign-in. Discards the drafts of anybody else. */
  claim(owner: string): void {
    this.#isClosed = false;
    if (owner === this.#owner) return;
    this.#owner = owner;
    this.#load();
    this.#store();
  }

  save(form: string, value: unknown): void {
    if (this.#isClosed) return;
    this.#values.set(form, value);
    this.#store();
  }

  get<T>(form: string): T | undefined {
    return this.#values.get(form) as T | undefined;
  }

  /** Discards all drafts at sign-out. */
  clear(): void {
    this.#isClosed = true;
    this.#values.clear();
    this.#store();
  }

  #load(): void {
    const { owner, values } = this.#stored();
    this.#values = new Map(owner === this.#owner ? Object.entries(values) : []);
  }

  #stored(): Stored {
    const nothing: Stored = { owner: '', values: {} };
    try {
      const text = this.#storage?.getItem(KEY);
      return text ? (JSON.parse(text) as Stored) : nothing;
    } catch {
      return nothing;
    }
  }

  #store(): void {
    try {
      if (this.#values.size === 0) this.#storage?.removeItem(KEY);
      else {
        const stored: Stored = { owner: this.#owner, values: Object.fromEntries(this.#values) };
        this.#storage?.setItem(KEY, JSON.stringify(stored));
      }
    } catch {
      // Without storage, a draft lasts until the next reload.
    }
  }
}

/** The storage of this tab, unless the browser forbids it. */
function tabStorage(): DraftStorage | null {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}

export const drafts = new Drafts(tabStorage());
