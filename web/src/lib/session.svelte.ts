/** Who is signed in at this browser. */
import { get, onRefusal, request, RequestError } from './api/http';
import type { Role, Session, CurrentUser } from './api/identity';
import { allows, allowsPage } from './access';
import { drafts } from './drafts';
import { loadPreference, savePreference } from './preferences';
import type { PageName } from './router.svelte';

/** Why somebody has to sign in again. */
export type EndReason = 'signed-out' | 'ended';

class CurrentSession {
  /** `null` until the gateway has answered. */
  state = $state.raw<Session | null>(null);
  /**
   * Whether to wait for the first response before showing a page. Where people sign in, a page must not flash up for
   * somebody who is signed out; elsewhere, waiting would only delay the first page.
   */
  isAwaited = $state(loadPreference('sign-in', ['on', 'off'] as const) === 'on');
  endReason = $state<EndReason | null>(null);
  /** The last session was a wall screen's: it shows a pairing code at once, because it may have no keyboard. */
  wasScreen = $state(loadPreference('screen', ['on', 'off'] as const) === 'on');
  isOnboarding = $state(false);
  readonly user: CurrentUser | null = $derived(this.state?.user ?? null);
  /** Identifies who may see the page's contents: changes with the person or screen, and with the role. */
  readonly owner = $derived(this.user && `${this.user.kind} ${this.user.name} ${this.user.role}`);
  readonly isOpen = $derived(this.state?.open === true);
  /** The gateway would accept a live connection, as far as the page knows. */
  readonly mayConnect = $derived(this.state === null ? !this.isAwaited : this.isOpen || this.user !== null);

  #request: Promise<void> | undefined;
  readonly #userListeners = new Set<() => void>();

  constructor() {
    onRefusal(() => void this.refresh());
    const refreshIfVisible = () => {
      // Another tab may have signed in or out. Without sign-in there is nothing to find out.
      if (!document.hidden && !this.isOpen) void this.refresh();
    };
    document.addEventListener('visibilitychange', refreshIfVisible);
    addEventListener('pageshow', (event) => {
      if (event.persisted) refreshIfVisible();
    });
  }

  allows(role: Role): boolean {
    return allows(this.state, role);
  }

  allowsPage(page: PageName): boolean {
    return allowsPage(this.state, page);
  }

  /**
   * Calls `listener` when the signed-in person or role changes, or nobody is signed in any more. The listener must
   * discard what belongs to the previous user.
   */
  onUserChange(listener: () => void): () => void {
    this.#userListeners.add(listener);
    return () => this.#userListeners.delete(listener);
  }

  /** Requests the session from the gateway. Without a response, the known state stays. */
  refresh(): Promise<void> {
    this.#request ??= get<Session>('/api/session')
      .then(
        (answer) => this.apply(answer),
        (error: unknown) => {
          if (!(error instanceof RequestError)) throw error;
          this.isAwaited = false;
        },
      )
      .finally(() => (this.#request = undefined));
    return this.#request;
  }

  apply(answer: Session): void {
    const before = this.user;
    if (before !== null && answer.user === null) this.endReason ??= 'ended';
    if (answer.user !== null) this.endReason = null;
    // A lower role may see less of the rows that are shown.
    const isOtherUser =
      this.state !== null &&
      (before?.name !== answer.user?.name || before?.kind !== answer.user?.kind || before?.role !== answer.user?.role);
    this.state = answer;
    this.isAwaited = false;
    savePreference('sign-in', answer.open ? 'off' : 'on');
    if (answer.open) drafts.claim('');
    if (answer.user !== null) {
      drafts.claim(answer.user.name);
      this.wasScreen = answer.user.kind === 'screen';
      savePreference('screen', this.wasScreen ? 'on' : 'off');
    }
    if (isOtherUser) for (const listener of this.#userListeners) listener();
  }

  /** @throws RequestError if the gateway did not end the session. */
  async signOut(): Promise<void> {
    await request('DELETE', '/api/session');
    this.endReason = 'signed-out';
    drafts.clear();
    this.wasScreen = false;
    savePreference('screen', 'off');
    if (this.state) this.apply({ ...this.state, user: null });
  }
}

export const session = new CurrentSession();
