/** The page's connection to the gateway: its state, and since when. Feeds the store from the socket. */
import { now } from '../now.svelte';
import { session } from '../session.svelte';
import { openSocket } from './socket';
import { live } from './store.svelte';

/** The retry delay after the gateway has refused the connection although it calls the session valid. */
const RETRY_MS = 2000;

export type ConnectionState = 'connecting' | 'live' | 'lost';

class Connection {
  state = $state<ConnectionState>('connecting');
  /** When the state last changed, in Unix milliseconds; while connecting, when the first attempt began. */
  since = $state(Date.now());
  /**
   * The time at which the view was last known to be current: durations stop growing while the gateway is unreachable.
   */
  readonly asOf = $derived(this.state === 'live' ? now.at : new Date(this.since));

  open(): () => void {
    let retry: ReturnType<typeof setTimeout> | undefined;
    this.state = 'connecting';
    this.since = Date.now();
    const onDisconnect = () => {
      if (this.state === 'lost') return;
      this.state = 'lost';
      this.since = Date.now();
    };
    const socket = openSocket({
      onUpdate: (update) => {
        live.apply(update);
        // The connection counts as live only once its snapshot is shown.
        if (update.type !== 'snapshot') return;
        // The gateway closes the connection when the role changes, and accepts it again with the new role.
        if (session.state === null || (this.state === 'lost' && !session.isOpen)) void session.refresh();
        this.state = 'live';
        this.since = Date.now();
      },
      onDisconnect,
      // If the session has ended, refreshing it closes this connection. Otherwise the socket itself retries an
      // unreachable gateway, but not one that refused the connection.
      onRefused: () => {
        if (!socket.active || !session.isOpen) void session.refresh();
        clearTimeout(retry);
        if (!socket.active) retry = setTimeout(reconnect, RETRY_MS);
      },
    });
    // A phone that wakes up should not wait for the next attempt.
    const reconnect = () => {
      if (!socket.connected) socket.connect();
    };
    // Unplugging a cable does not close a connection. A new attempt shows whether the gateway is still reachable, as it
    // is from the gateway's own screen.
    const restart = () => {
      onDisconnect();
      socket.disconnect().connect();
    };
    addEventListener('offline', restart);
    addEventListener('online', reconnect);
    document.addEventListener('visibilitychange', reconnect);
    return () => {
      removeEventListener('offline', restart);
      removeEventListener('online', reconnect);
      document.removeEventListener('visibilitychange', reconnect);
      clearTimeout(retry);
      socket.close();
    };
  }
}

export const connection = new Connection();
