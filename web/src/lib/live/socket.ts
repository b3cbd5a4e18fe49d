/** Opens the Socket.IO connection and turns its messages into updates. Independent of the pages. */
import { io, type Socket } from 'socket.io-client';
import type { Auth, Batch, Confirmed, Delivery, GatewayStatus, InitialData, Order, Payment, Stats } from '../api/types';
import { HeartbeatMonitor } from './heartbeat';
import type { LiveUpdate } from './reducer';

export type SocketListener = {
  onUpdate: (update: LiveUpdate) => void;
  onDisconnect: () => void;
  /** The gateway refused the connection, or could not be reached. */
  onRefused: () => void;
};

export function openSocket({ onUpdate, onDisconnect, onRefused }: SocketListener): Socket {
  const socket = io({
    // A gateway on the local network is back within seconds, so the backoff stays short.
    reconnectionDelay: 300,
    reconnectionDelayMax: 2000,
    timeout: 5000,
    transports: ['websocket', 'polling'],
    tryAllTransports: true,
    // No `after`: every connection begins with a snapshot, and the pages show only the newest items.
    auth: { batch: true } satisfies Auth,
  });
  const heartbeat = new HeartbeatMonitor(() => socket.disconnect().connect());
  socket.on('alive', () => heartbeat.arm());
  socket.onAny(() => heartbeat.reset());
  socket.on('disconnect', (reason) => {
    heartbeat.disarm();
    onDisconnect();
    // A gateway that shuts down closes the connection, after which the client does not reconnect by itself.
    if (reason === 'io server disconnect') socket.connect();
  });
  socket.on('connect_error', () => {
    onDisconnect();
    onRefused();
  });
  socket.on('initial_data', (data: InitialData) => onUpdate({ type: 'snapshot', data }));
  socket.on('batch', (batch: Batch) => onUpdate({ type: 'batch', batch }));
  socket.on('new_order', (item: Order) => onUpdate({ type: 'item', item }));
  socket.on('new_payment', (item: Payment) => onUpdate({ type: 'item', item }));
  socket.on('new_delivery', (item: Delivery) => onUpdate({ type: 'item', item }));
  socket.on('stats_update', (stats: Stats) => onUpdate({ type: 'stats', stats }));
  socket.on('gateway_status', (gateway: GatewayStatus) => onUpdate({ type: 'gateway', gateway }));
  socket.on('event_confirmed', (confirmed: Confirmed) => onUpdate({ type: 'confirmed', confirmed }));
  return socket;
}
