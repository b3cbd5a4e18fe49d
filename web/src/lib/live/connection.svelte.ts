/** Whether the gateway is reached, and since when not. Feeds the store from the socket. */
import { openSocket } from './socket';
import { live } from './store.svelte';

export type Contact = 'connecting' | 'live' | 'lost';

class Connection {
  contact = $state<Contact>('connecting');
  /** When the contact was lost, or when the first attempt began. */
  since = $state(Date.now());

  open(): () => void {
    const lost = () => {
      if (this.contact === 'lost') return;
      this.contact = 'lost';
      this.since = Date.now();
    };
    const socket = openSocket({
      changed: (change) => live.apply(change),
      connected: () => {
        this.contact = 'live';
        this.since = Date.now();
      },
      lost,
    });
    // A page that wakes up on a phone should not wait for the next attempt.
    const retry = () => {
      if (!socket.connected) socket.connect();
    };
    addEventListener('online', retry);
    document.addEventListener('visibilitychange', retry);
    return () => {
      removeEventListener('online', retry);
      document.removeEventListener('visibilitychange', retry);
      socket.close();
    };
  }
}

export const connection = new Connection();
