/**
 * Puts the simulated gateway behind Vite's own server, for `vite` and for `vite preview`: one port, no proxy, and the
 * built pages can be tried without the real gateway.
 */
import type { Server } from 'node:http';
import { Server as SocketServer } from 'socket.io';
import type { Connect, Plugin } from 'vite';
import { answer, type Wish } from './api';
import { SimulatedGateway } from './gateway';

/** As the gateway sends it: what the pages do must work under it. */
export const CSP = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; connect-src 'self' ws: wss:";
const TICK_MS = 100;
const SEED = 1789;

function startSimulation(http: Server, middlewares: Connect.Server, strict: boolean): void {
  const begun = process.env.COMPTOIR_SIM_CLOCK;
  const shift = begun === undefined ? 0 : Date.parse(begun) - Date.now();
  const clock = () => Date.now() + shift;
  const make = (history: boolean) => new SimulatedGateway({ seed: SEED, clock, history });
  let gateway = make(true);
  let awayUntil = 0;
  const away = () => Date.now() < awayUntil;

  const sockets = new SocketServer(http, { destroyUpgrade: false, allowRequest: (_, decide) => decide(null, !away()) });
  sockets.on('connection', (socket) => socket.emit('initial_data', gateway.initial()));
  const timer = setInterval(() => {
    const batch = gateway.tick();
    if (batch) sockets.emit('batch', batch);
  }, TICK_MS);
  http.on('close', () => clearInterval(timer));
  // Longer than any pause of a test: else a request may meet a connection that is just being closed.
  http.keepAliveTimeout = 65_000;

  const configure = (wish: Wish) => {
    if (wish.reset === true || wish.empty !== undefined) {
      gateway = make(wish.empty !== true);
      awayUntil = 0;
      if (wish.empty) gateway.rate = 0;
    }
    if (wish.rate !== undefined) gateway.rate = wish.rate;
    if (wish.settings !== undefined) gateway.settingsProblems = wish.settings;
    if (wish.refusing !== undefined) gateway.refusing = wish.refusing;
    if (wish.mqtt !== undefined) gateway.turnMqtt(wish.mqtt);
    if (wish.version !== undefined) gateway.version = wish.version;
    if (wish.refusing !== undefined || wish.mqtt !== undefined || wish.version !== undefined) sockets.emit('gateway_status', gateway.status());
    if (wish.away !== undefined) {
      awayUntil = Date.now() + wish.away * 1000;
      sockets.disconnectSockets(true);
    } else if (wish.reset === true || wish.empty !== undefined) {
      sockets.emit('initial_data', gateway.initial());
    }
  };

  middlewares.use((request, response, next) => {
    if (strict) response.setHeader('content-security-policy', CSP);
    if (away() && request.url !== '/__sim') {
      request.socket.destroy();
      return;
    }
    answer(gateway, { configure }, request, response).then((done) => {
      if (!done) next();
    }, next);
  });
}

export function simulatedGateway(): Plugin {
  return {
    name: 'simulated-gateway',
    configureServer(server) {
      // Vite's own development client needs inline scripts, so the policy is for the built pages only.
      if (server.httpServer) startSimulation(server.httpServer as Server, server.middlewares, false);
    },
    configurePreviewServer(server) {
      startSimulation(server.httpServer as Server, server.middlewares, true);
    },
  };
}
