/** The wire: opens the Socket.IO connection and turns its messages into changes. Knows nothing of the pages. */
import { io, type Socket } from 'socket.io-client';
import type { Auth, Batch, Confirmed, Delivery, GatewayStatus, InitialData, Order, Payment, Stats } from '../api/types';
import { asActivity, type Change } from './reducer';
import { Silence } from './silence';

export type Listener = {
  changed: (change: Change) => void;
  lost: () => void;
};

export function openSocket(listener: Listener): Socket {
  const socket = io({
    // A gateway on the local network comes back within seconds; nobody should wait for a backoff of minutes.
    reconnectionDelay: 300,
    reconnectionDelayMax: 2000,
    timeout: 5000,
    transports: ['websocket', 'polling'],
    tryAllTransports: true,
    // What was missed is in the snapshot that begins every connection: pages show the newest only.
    auth: { batch: true } satisfies Auth,
  });
  const silence = new Silence(() => socket.disconnect().connect());
  socket.on('alive', () => silence.promised());
  socket.onAny(() => silence.heard());
  socket.on('disconnect', (reason) => {
    silence.closed();
    listener.lost();
    // The client does not reconnect by itself when the server said goodbye, which a gateway does that stops.
    if (reason === 'io server disconnect') socket.connect();
  });
  socket.on('connect_error', listener.lost);
  socket.on('initial_data', (data: InitialData) => listener.changed({ type: 'snapshot', data }));
  socket.on('batch', (batch: Batch) => listener.changed({ type: 'batch', batch }));
  socket.on('new_order', (item: Order) => listener.changed({ type: 'item', entry: asActivity.order(item) }));
  socket.on('new_payment', (item: Payment) => listener.changed({ type: 'item', entry: asActivity.payment(item) }));
  socket.on('new_delivery', (item: Delivery) => listener.changed({ type: 'item', entry: asActivity.delivery(item) }));
  socket.on('stats_update', (stats: Stats) => listener.changed({ type: 'stats', stats }));
  socket.on('gateway_status', (gateway: GatewayStatus) => listener.changed({ type: 'gateway', gateway }));
  socket.on('event_confirmed', (confirmed: Confirmed) => listener.changed({ type: 'confirmed', confirmed }));
  return socket;
}
