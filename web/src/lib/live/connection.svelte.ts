/** Whether the gateway is reached, and since when not. Feeds the store from the socket. */
import { now } from '../now.svelte';
import { openSocket } from './socket';
import { live } from './store.svelte';

export type Contact = 'connecting' | 'live' | 'lost';

class Connection {
  contact = $state<Contact>('connecting');
  /** When the contact was lost, or when the first attempt began. */
  since = $state(Date.now());
  /** Until when what is shown is known to hold: durations must not go on where nobody looks. */
  readonly asOf = $derived(this.contact === 'live' ? now.at : new Date(this.since));

  open(): () => void {
    const lost = () => {
      if (this.contact === 'lost') return;
      this.contact = 'lost';
      this.since = Date.now();
    };
    const socket = openSocket({
      changed: (change) => {
        live.apply(change);
        // A connection alone shows nothing: there is contact once what is shown is what the gateway says.
        if (change.type !== 'snapshot') return;
        this.contact = 'live';
        this.since = Date.now();
      },
      lost,
    });
    // A page that wakes up on a phone should not wait for the next attempt.
    const retry = () => {
      if (!socket.connected) socket.connect();
    };
    // A cable that is pulled closes no connection. Whether the gateway is reached all the same, as on its own screen, a new one shows.
    const unplugged = () => {
      lost();
      socket.disconnect().connect();
    };
    addEventListener('offline', unplugged);
    addEventListener('online', retry);
    document.addEventListener('visibilitychange', retry);
    return () => {
      removeEventListener('offline', unplugged);
      removeEventListener('online', retry);
      document.removeEventListener('visibilitychange', retry);
      socket.close();
    };
  }
}

export const connection = new Connection();
