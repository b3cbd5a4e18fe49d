import { createPluralizer } from '../../../src/lib/i18n/plural';

const plural = createPluralizer('en-GB');

export const en = {
  title: 'Shops',
  office: 'Head office',
  bar: {
    reading: 'Reading the shops…',
    good: 'Up to date',
    read: (ago: string) => `read ${ago}`,
    stale: (at: string, ago: string) => `Last read: ${at}, ${ago}`,
    late: (at: string) => `The office is late: it has read what the shops sent until ${at}`,
    lateHint: 'Kafka may be unreachable',
    again: 'Trying again every 5 seconds',
  },
  failure: {
    unreachable: 'The head-office server is unreachable',
    other: (status: number) => `The head-office server answered with an error (${status})`,
    problem: {
      'urn:comptoir:problem:database-unavailable': 'The head-office server cannot read its database (PostgreSQL)',
      'urn:comptoir:problem:invalid-query': 'The head-office server does not understand this page. Reload it.',
    },
  },
  summary: {
    label: 'Summary',
    shops: (count: number) => plural(count, { one: '# shop', other: '# shops' }),
    trouble: (count: number) =>
      plural(count, { zero: 'no shop has a problem', one: '# has a problem', other: '# have problems' }),
    apart: (count: number) => plural(count, { one: '# record kept apart', other: '# records kept apart' }),
    apartHint:
      'No known shop has signed these records, or they cannot be read. They do not count. The database table kept_apart has the reasons.',
    lost: (count: number) =>
      plural(count, {
        one: 'Kafka no longer has # range of records that the office had not read',
        other: 'Kafka no longer has # ranges of records that the office had not read',
      }),
    lostHint:
      'The sales in them are missing here. The database table lost_records has the positions. To prevent it, set a longer retention on Kafka’s topics.',
  },
  list: {
    search: 'Search for a shop',
    onlyTrouble: 'Only shops with problems',
    sortBy: 'Sort by',
    sort: {
      trouble: 'Problems',
      name: 'Name',
      heard: 'Last heard of',
      backlog: 'Events waiting',
    },
    all: 'All shops',
    /** `all` is a formatted number. */
    shown: (shown: number, all: string) => plural(shown, { one: `# shop of ${all}`, other: `# shops of ${all}` }),
    more: (count: number) => plural(count, { one: 'Show # more', other: 'Show # more' }),
    none: 'No shop matches',
    noneHint: 'Change the search, or show all shops.',
    showAll: 'Show all shops',
    empty: 'No shop yet',
    emptyHint:
      'Add a line with the name and the key of each shop to the file that shops.keys names, and restart the office. A shop appears here once its gateway publishes to Kafka.',
    failed: 'The shops could not be read',
    failedHint: 'They appear here as soon as the head-office server answers.',
  },
  column: {
    store: 'Shop',
    troubles: 'Problems',
    heard: 'Last heard of',
    waiting: 'Waiting',
    check: 'To check',
    gateway: 'Gateway',
    storage: 'Storage',
    tills: 'Tills',
    today: 'Today',
  },
  trouble: {
    silent: 'Silent',
    'missing-numbers': 'Missing events',
    backlog: 'Sending is late',
    'journal-fills': 'Journal almost full',
    'disk-low': 'Disk almost full',
    'dead-letters': 'Unreadable messages',
    'mqtt-down': 'MQTT broker unreachable',
    'bridge-down': 'Sending has stopped',
    'commands-down': 'Commands do not arrive',
    warnings: 'Connection warnings',
    'journal-refusing': 'Not accepting sales',
    'events-lost': 'Sales lost',
    'devices-refused': 'Tills refused',
    'clock-unsynchronised': 'Clock not synchronised',
  },
  exit: {
    unknown: 'cause unknown',
    stopped: 'stopped normally',
    crashed: 'crashed',
    power: 'power cut',
  },
  fact: {
    unknown: 'unknown',
    noTrouble: 'none',
    noneWaiting: 'none',
    waitingFor: (duration: string) => `for ${duration}`,
    missing: (count: number) => plural(count, { one: '# missing', other: '# missing' }),
    deadLetters: (count: number) => plural(count, { one: '# unreadable', other: '# unreadable' }),
    nothingToCheck: 'nothing',
    version: (version: string) => `version ${version}`,
    restarted: (ago: string, reason: string) => `Restarted ${ago}, ${reason}`,
    restartedAt: (at: string) => `Restarted on ${at}`,
    journal: (share: string) => `Journal ${share}`,
    journalOf: (bytes: string, max: string) => `${bytes} of ${max}`,
    free: (bytes: string) => `${bytes} free`,
    offline: (count: number) => plural(count, { one: '# offline', other: '# offline' }),
    noTakings: 'no takings',
    orders: (count: number) => plural(count, { one: '# order', other: '# orders' }),
    payments: (count: number) => plural(count, { one: '# payment', other: '# payments' }),
    deliveries: (count: number) => plural(count, { one: '# delivery', other: '# deliveries' }),
  },
};

export type OfficeMessages = typeof en;
