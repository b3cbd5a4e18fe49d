/**
 * A simulated office, for `vite` and `vite preview`: the real office's endpoints, with shops generated from their
 * numbers.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Connect, Plugin } from 'vite';
import type { Overview, Shop } from '../office/lib/types';
import type { Answer, Body } from './answer';
import type { Caller } from './identityApi';
import { OfficeAccounts } from './officeAccounts';
import { SimulatedCommands } from './officeCommands';
import { answerComparison, answerStats } from './officeFigures';
import { LiveOffice, type SoldItem } from './officeLive';
import { answerSales, createSales, type SalesAnswer } from './officeSales';

/** A situation that a test sets up with `POST /__sim`. */
export type OfficeScenario = {
  /** How many shops have published something. */
  shops?: number;
  keptApart?: number;
  lostRanges?: number;
  /** The office does not answer at all. */
  isUnreachable?: boolean;
  /** The `type` of the problem that the office returns; `null` returns the overview. */
  problem?: string | null;
  /** How many sales there are. */
  sales?: number;
  /** The same as `problem`, for the sales. */
  salesProblem?: string | null;
  /** The same, for the figures of shops and their comparison. */
  figuresProblem?: string | null;
  /** How many commands were sent before. */
  commands?: number;
  /** How many minutes the office lags behind in reading Kafka. */
  readMinutesAgo?: number;
  /** Users must sign in: those of `OFFICE_STAFF`. */
  hasAccounts?: boolean;
  /** The name of an identity provider. */
  oidc?: string | null;
  /** The connection is not encrypted. */
  isPlain?: boolean;
  /** Events that happen now. They keep what happened before. */
  events?: SoldItem[];
  /** The database reads the events only when a later scenario has no `isBehind`. */
  isBehind?: boolean;
  /** Ends all live connections. The pages connect again. */
  cut?: boolean;
};

type Situation = Required<Omit<OfficeScenario, 'events' | 'isBehind' | 'cut'>>;

const DEFAULTS: Situation = {
  shops: 20,
  keptApart: 0,
  lostRanges: 0,
  isUnreachable: false,
  problem: null,
  sales: 180,
  salesProblem: null,
  figuresProblem: null,
  commands: 4,
  readMinutesAgo: 0,
  hasAccounts: false,
  oidc: null,
  isPlain: false,
};

const TOWNS = ['paris', 'lyon', 'nice', 'lille', 'nantes', 'rennes', 'saint-germain-en-laye', 'metz', 'pau', 'brest'];
/** Sorted as the office sorts them: the worst first. */
const TROUBLES: string[][] = [
  ['silent', 'missing-numbers', 'mqtt-down', 'backlog'],
  ['silent'],
  ['missing-numbers'],
  ['events-lost', 'journal-fills'],
  ['journal-refusing', 'disk-low'],
  ['clock-unsynchronised'],
  ['a-later-word'],
  ['backlog', 'dead-letters'],
];
const EXITS = ['stopped', 'power', 'stopped', 'crashed', 'unknown'];
const MINUTE_MS = 60_000;

/** A third of the shops, but at most one shop for each entry of `TROUBLES`. */
const countInTrouble = (shops: number) => Math.min(TROUBLES.length, Math.ceil(shops / 3));

const nameShop = (i: number) => `${TOWNS[i % TOWNS.length]}-${i + 1}`;

function createShop(i: number, shops: number, now: number): Shop {
  const before = (minutes: number) => new Date(now - minutes * MINUTE_MS).toISOString();
  const troubles = (i < countInTrouble(shops) ? TROUBLES[i] : undefined) ?? [];
  const has = (trouble: string) => troubles.includes(trouble);
  const silence = has('silent') ? 95 + i * 700 : (i % 9) / 2;
  const pending = has('backlog') ? 1204 + i : i % 3;
  const orders = (i * 37) % 211;
  return {
    store: nameShop(i),
    troubles,
    heard: before(silence),
    ...(orders > 0 ? { sold: before(i % 50) } : {}),
    // A shop whose gateway has an earlier version publishes no state.
    ...(i % 11 === 10
      ? {}
      : {
          gateway: {
            version: i % 5 === 4 ? '0.4.2' : '0.5.0',
            started: before(silence + 60 * (5 + ((i * 13) % 400))),
            last_exit: EXITS[i % EXITS.length] ?? 'stopped',
            pending,
            ...(pending > 0 ? { oldest_pending: before(has('backlog') ? 312 : silence + 0.2) } : {}),
            missing: has('missing-numbers') ? 3 + i : 0,
            dead_letters: has('dead-letters') ? 2 : 0,
            journal_bytes: has('journal-fills') ? 930_000_000 : 18_423_808 + i * 1_000_000,
            journal_max_bytes: 1_073_741_824,
            ...(i % 7 === 6 ? {} : { disk_free: has('disk-low') ? 310_000_000 : 24_737_418_240 + i * 1e8 }),
            devices: 1 + (i % 6),
            devices_offline: i % 4 === 1 ? 1 : 0,
          },
        }),
    today: {
      orders,
      payments: orders === 0 ? 0 : orders + 4,
      deliveries: orders % 17,
      takings:
        orders === 0
          ? []
          : [
              { amount: orders * 23.45, currency: 'EUR' },
              ...(i % 10 === 2 ? [{ amount: orders * 3.1, currency: 'CHF' }] : []),
            ],
    },
  };
}

function createOverview({ shops, keptApart, lostRanges, readMinutesAgo }: Situation, now: number): Overview {
  const all = Array.from({ length: shops }, (_, i) => createShop(i, shops, now));
  return {
    time: new Date(now).toISOString(),
    as_of: new Date(now - readMinutesAgo * MINUTE_MS).toISOString(),
    shops: all,
    kept_apart: keptApart,
    lost_ranges: lostRanges,
  };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function send(response: ServerResponse, status: number, body: object): void {
  const type = status >= 400 ? 'application/problem+json' : 'application/json';
  sendText(response, { status, type, body: JSON.stringify(body) });
}

function sendText(response: ServerResponse, { status, type, body }: SalesAnswer): void {
  response.statusCode = status;
  response.setHeader('cache-control', 'no-store');
  response.setHeader('content-type', type);
  if (type.startsWith('text/csv')) response.setHeader('content-disposition', 'attachment; filename="sales.csv"');
  response.end(body);
}

const sendProblem = (response: ServerResponse, type: string) =>
  send(response, 503, { type, status: 503, detail: 'PostgreSQL does not reply. Try again.' });

function startSimulation(http: Server, middlewares: Connect.Server): void {
  const startTime = process.env.COMPTOIR_SIM_CLOCK;
  const clockShift = startTime === undefined ? 0 : Date.parse(startTime) - Date.now();
  const start = Date.now() + clockShift;
  let scenario = DEFAULTS;
  const live = new LiveOffice(
    http,
    () => !scenario.isUnreachable,
    () => Date.now() + clockShift,
  );

  const createAccounts = () => new OfficeAccounts(scenario.hasAccounts, () => Date.now() + clockShift);
  let accounts = createAccounts();

  const sendAnswer = (response: ServerResponse, { status, body, cookie }: Answer) => {
    if (cookie !== undefined) response.setHeader('set-cookie', cookie);
    if (body !== undefined) return send(response, status, body as object);
    response.statusCode = status;
    response.end();
  };

  const answerAccounts = async (request: IncomingMessage, url: URL, caller: Caller): Promise<Answer> => {
    const { method = 'GET' } = request;
    const isSession = url.pathname === '/api/session';
    if (isSession && method === 'GET') {
      return { status: 200, body: accounts.describe(request.headers.cookie, scenario) };
    }
    const body = JSON.parse((await readBody(request)) || '{}') as Body;
    const answered = accounts.answer(caller, method, url, body) ?? { status: 404 };
    // The answer to a sign-in is the new session, with what only the office says of it.
    const isSignIn = isSession && method === 'POST' && answered.status === 200;
    return isSignIn ? { ...answered, body: accounts.describe(answered.cookie, scenario) } : answered;
  };

  const listStores = (least = 0) => Array.from({ length: Math.max(least, scenario.shops) }, (_, i) => nameShop(i));
  const readSales = () => createSales(scenario.sales, listStores(1), start);
  const createCommands = () => new SimulatedCommands(listStores(1), scenario.commands, () => Date.now() + clockShift);
  let commands = createCommands();

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<boolean> => {
    if (request.url === '/__sim') {
      const {
        events,
        isBehind = false,
        cut = false,
        ...situation
      } = JSON.parse(await readBody(request)) as OfficeScenario;
      if (!events && !isBehind && !cut) {
        live.reset();
        commands = createCommands();
      }
      scenario = { ...DEFAULTS, ...situation };
      if (!events && !isBehind && !cut) accounts = createAccounts();
      if (cut || scenario.isUnreachable) live.disconnectAll();
      live.happen(events ?? [], isBehind);
      send(response, 200, {});
      return true;
    }
    const url = new URL(request.url ?? '/', 'http://localhost');
    const isSales = url.pathname === '/api/sales' || url.pathname === '/api/sales.csv';
    const isAboutAccounts = /^\/api\/(session|sessions|users|tokens|audit)(\/|$)/.test(url.pathname);
    const statsOf = /^\/api\/shops\/([^/]+)\/stats$/.exec(url.pathname)?.[1];
    const isFigures = statsOf !== undefined || url.pathname === '/api/comparison';
    const isCommands = url.pathname.startsWith('/api/commands');
    if (url.pathname !== '/api/shops' && !isSales && !isFigures && !isAboutAccounts && !isCommands) return false;
    if (scenario.isUnreachable) {
      request.socket.destroy();
      return true;
    }
    const caller = accounts.findCaller(request);
    const refusal = accounts.refuse(caller, url.pathname);
    if (refusal) {
      sendAnswer(response, refusal);
      return true;
    }
    if (isAboutAccounts) {
      sendAnswer(response, await answerAccounts(request, url, caller));
      return true;
    }
    const visible = accounts.shopsOf(caller);
    const isVisible = (store: string) => visible?.includes(store) ?? true;
    if (isCommands) {
      const key = String(request.headers['idempotency-key'] ?? '') || null;
      const answered = commands.answer({ method: request.method ?? 'GET', url, key, body: await readBody(request) });
      send(response, answered.status, answered.body);
      return true;
    }
    if (isSales) {
      if (scenario.salesProblem !== null) sendProblem(response, scenario.salesProblem);
      else
        sendText(
          response,
          answerSales(
            url,
            live.addTo(readSales()).filter(({ store }) => isVisible(store)),
            live.read(),
          ),
        );
      return true;
    }
    if (isFigures) {
      const now = Date.now() + clockShift;
      // A shop's figures depend on its position in the list.
      const stores = listStores().map((store) => (isVisible(store) ? store : ''));
      if (scenario.figuresProblem !== null) sendProblem(response, scenario.figuresProblem);
      else if (statsOf === undefined)
        sendText(
          response,
          answerComparison(
            url,
            stores.filter((store) => store !== ''),
            now,
          ),
        );
      else sendText(response, answerStats(decodeURIComponent(statsOf), stores, now));
      return true;
    }
    if (Number.isNaN(Date.parse(url.searchParams.get('since') ?? ''))) {
      send(response, 400, { type: 'urn:comptoir:problem:invalid-query', status: 400, detail: 'since: missing' });
    } else if (scenario.problem !== null) {
      sendProblem(response, scenario.problem);
    } else {
      const overview = createOverview(scenario, Date.now() + clockShift);
      send(response, 200, { ...overview, shops: overview.shops.filter(({ store }) => isVisible(store)) });
    }
    return true;
  };
  middlewares.use((request, response, next) => {
    answer(request, response).then((isAnswered) => {
      if (!isAnswered) next();
    }, next);
  });
}

export function simulatedOffice(): Plugin {
  return {
    name: 'simulated-office',
    configureServer({ httpServer, middlewares }) {
      if (httpServer) startSimulation(httpServer as Server, middlewares);
    },
    configurePreviewServer({ httpServer, middlewares }) {
      startSimulation(httpServer as Server, middlewares);
    },
  };
}
