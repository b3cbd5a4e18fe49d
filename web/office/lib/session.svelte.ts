/** Who is signed in to the office. The office enforces it; the page only leads to the sign-in page and back. */
import { get, onRefusal, post, request } from '../../src/lib/api/http';
import { isAccountsPage, returnAddress, type AccountsPage } from './addresses';
import { router } from './router';
import type { Session } from './types';

class OfficeSession {
  /** `null` until the office has answered. */
  state = $state.raw<Session | null>(null);
  readonly user = $derived(this.state?.user ?? null);
  readonly mustSignIn = $derived(this.state !== null && !this.state.open && this.state.user === null);

  constructor() {
    onRefusal(() => void this.refresh());
  }

  /** Without an answer nothing changes: the page says itself that the office is unreachable. */
  async refresh(): Promise<void> {
    const answer = await get<Session>('/api/session').catch(() => null);
    if (answer !== null) this.state = answer;
  }

  async signIn(name: string, password: string): Promise<void> {
    this.state = await post<Session>('/api/session', { name, password });
  }

  async signOut(): Promise<void> {
    await request('DELETE', '/api/session');
    await this.refresh();
  }

  /** Only administrators manage accounts. */
  mayOpen(page: AccountsPage): boolean {
    return page === 'account' ? this.user !== null : this.user?.role === 'administrator';
  }

  /** Shows the sign-in page if somebody must sign in, and returns from it to the page that was wanted. */
  redirect(): void {
    if (this.state === null) return;
    if (this.mustSignIn && router.page !== 'login') {
      const next = `${location.pathname}${location.search}`;
      router.replace('login', next === '/' ? '' : new URLSearchParams({ next }).toString());
    } else if (!this.mustSignIn && router.page === 'login') {
      const { page, query } = returnAddress(router.parameter('next'), location.origin);
      router.replace(page, query);
    } else if (this.state.open && isAccountsPage(router.page)) {
      // Without accounts there is nothing to manage: the command line adds the first one.
      router.replace('shops');
    }
  }
}

export const session = new OfficeSession();
