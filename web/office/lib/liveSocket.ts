/** Opens the Socket.IO connection. In a file of its own, which is downloaded after the page is shown. */
import { io } from 'socket.io-client';
import type { Reload } from './liveEvents';

export type SocketListener = {
  onReload: (reload: Reload) => void;
  onMessage: (name: string, data: unknown) => void;
  onDisconnect: () => void;
};

/** Pause before trying again after the office has refused the connection. */
const REFUSED_RETRY_MS = 10_000;

/** `store`: the shop whose sales to get, or `''` for all. Returns the function that closes the connection. */
export function openSocket(store: string, { onReload, onMessage, onDisconnect }: SocketListener): () => void {
  let retry: ReturnType<typeof setTimeout> | undefined;
  const socket = io({
    // The requests of a polling client could reach different replicas.
    transports: ['websocket'],
    // With thousands of pages, all of them must not return at once.
    reconnectionDelay: 500,
    reconnectionDelayMax: 5000,
    auth: store === '' ? {} : { store },
    // The connection for another shop has another `auth`.
    forceNew: true,
  });
  const reconnect = () => {
    if (!socket.connected) socket.connect();
  };
  // A phone that wakes up should not wait for the next attempt.
  const reconnectIfVisible = () => {
    if (!document.hidden) reconnect();
  };
  socket.onAny((name: string, data: unknown) => {
    if (name === 'reload') onReload(data as Reload);
    else onMessage(name, data);
  });
  socket.on('disconnect', (reason) => {
    onDisconnect();
    // After the office has closed the connection, the client does not reconnect by itself.
    if (reason === 'io server disconnect') reconnect();
  });
  socket.on('connect_error', () => {
    onDisconnect();
    clearTimeout(retry);
    // It was refused. The client itself tries again only if the office could not be reached.
    if (!socket.active) retry = setTimeout(reconnect, REFUSED_RETRY_MS);
  });
  addEventListener('online', reconnect);
  document.addEventListener('visibilitychange', reconnectIfVisible);
  return () => {
    removeEventListener('online', reconnect);
    document.removeEventListener('visibilitychange', reconnectIfVisible);
    clearTimeout(retry);
    socket.close();
  };
}
