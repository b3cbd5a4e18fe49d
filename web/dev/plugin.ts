/**
 * Serves the simulated gateway from Vite's own server, for `vite` and `vite preview`: one port, no proxy, and the built
 * pages can be tried without the real gateway.
 */
import type { Server } from 'node:http';
import { Server as SocketServer } from 'socket.io';
import type { Connect, Plugin } from 'vite';
import { handleRequest, type Scenario } from './api';
import { SimulatedGateway } from './gateway';
import { Identity, type IdentityMode } from './identity';
import { findCaller } from './identityApi';
import { hidePersonalData } from './personalData';

const TICK_MS = 100;
const SEED = 1789;

function startSimulation(http: Server, middlewares: Connect.Server): void {
  const startTime = process.env.COMPTOIR_SIM_CLOCK;
  const clockShift = startTime === undefined ? 0 : Date.parse(startTime) - Date.now();
  const clock = () => Date.now() + clockShift;
  const createGateway = (hasHistory: boolean) => new SimulatedGateway({ seed: SEED, clock, hasHistory });
  /** The Socket.IO room of one session's connections. */
  const roomOf = (sessionId: string) => `session ${sessionId}`;
  const createIdentity = (mode: IdentityMode) =>
    new Identity(mode, clock, (sessionId) => sockets.in(roomOf(sessionId)).disconnectSockets());
  let gateway = createGateway(true);
  let identity = createIdentity('open');
  let isReachable = true;

  const sockets = new SocketServer(http, {
    destroyUpgrade: false,
    allowRequest: (_, decide) => decide(null, isReachable),
  });
  sockets.use((socket, next) => {
    const { session } = findCaller(identity, socket.request);
    if (identity.isOpen || session) return next();
    const type = 'urn:comptoir:problem:sign-in-required';
    next(Object.assign(new Error('Sign in at /login, or send a token.'), { data: { type } }));
  });
  const emitInitial = () => {
    sockets.to('full').emit('initial_data', gateway.initial());
    sockets.to('hidden').emit('initial_data', hidePersonalData(gateway.initial()));
  };
  sockets.on('connection', (socket) => {
    const { session } = findCaller(identity, socket.request);
    const seesAll = identity.seesPersonalData(session);
    void socket.join([seesAll ? 'full' : 'hidden', ...(session ? [roomOf(session.id)] : [])]);
    socket.emit('initial_data', seesAll ? gateway.initial() : hidePersonalData(gateway.initial()));
  });
  const timer = setInterval(() => {
    const batch = gateway.tick();
    if (!batch) return;
    sockets.to('full').emit('batch', batch);
    sockets.to('hidden').emit('batch', hidePersonalData(batch));
  }, TICK_MS);
  http.on('close', () => clearInterval(timer));
  // Longer than any pause in a test. Otherwise a request may reuse a connection that the server is just closing.
  http.keepAliveTimeout = 65_000;

  const applyScenario = (scenario: Scenario) => {
    const {
      reset = false,
      empty,
      rate,
      unreachable,
      refusing,
      neverSent,
      mqtt,
      version,
      settingsProblems,
      uplink,
      demo,
      invent,
      timeZone,
      follow,
      otherShops,
      sellAt,
    } = scenario;
    const isNewShop = reset || empty !== undefined;
    if (isNewShop) {
      gateway = createGateway(empty !== true);
      isReachable = true;
      if (empty) gateway.rate = 0;
    }
    if (scenario.identity !== undefined || (reset && identity.mode !== 'open')) {
      identity = createIdentity(scenario.identity ?? 'open');
      sockets.disconnectSockets();
    } else if (reset) {
      identity.isPlain = false;
    }
    if (scenario.plain !== undefined) identity.isPlain = scenario.plain;
    if (scenario.endSessionsOf !== undefined) identity.accounts.endAllOf(scenario.endSessionsOf);
    if (scenario.expirePairings) identity.expirePairings();
    if (demo !== undefined) gateway.isDemo = demo;
    if (timeZone !== undefined) gateway.timeZone = timeZone;
    if (invent !== undefined) gateway.setInvent(invent);
    if (rate !== undefined) gateway.rate = rate;
    if (settingsProblems !== undefined) gateway.settingsProblems = settingsProblems;
    if (uplink !== undefined) gateway.uplink = { ...gateway.uplink, ...uplink };
    if (refusing !== undefined) gateway.isRefusing = refusing;
    if (neverSent) gateway.forgetWatermark();
    if (mqtt !== undefined) gateway.setMqtt(mqtt);
    if (version !== undefined) gateway.version = version;
    if (follow !== undefined) gateway.follow = follow;
    if (otherShops !== undefined) gateway.setOtherShops(otherShops);
    if (sellAt !== undefined) gateway.otherShops.get(sellAt)?.sell(gateway.now());
    const hasNewStatus = [refusing, neverSent, mqtt, version, demo, invent, follow].some(
      (value) => value !== undefined,
    );
    if (hasNewStatus) sockets.emit('gateway_status', gateway.status());
    if (unreachable !== undefined) isReachable = !unreachable;
    if (unreachable) {
      sockets.disconnectSockets(true);
    } else if (isNewShop) {
      emitInitial();
    }
  };

  middlewares.use((request, response, next) => {
    if (!isReachable && request.url !== '/__sim') {
      request.socket.destroy();
      return;
    }
    handleRequest({ gateway, identity }, applyScenario, request, response).then((isHandled) => {
      if (!isHandled) next();
    }, next);
  });
}

export function simulatedGateway(): Plugin {
  return {
    name: 'simulated-gateway',
    configureServer({ httpServer, middlewares }) {
      if (httpServer) startSimulation(httpServer as Server, middlewares);
    },
    configurePreviewServer({ httpServer, middlewares }) {
      startSimulation(httpServer as Server, middlewares);
    },
  };
}
