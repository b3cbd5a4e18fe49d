/** Checks that hold for every text of both languages. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { en } from './en';
import { fr } from './fr';
import { en as identityEn } from './identity/en';
import { fr as identityFr } from './identity/fr';
import { en as dayEn } from './day/en';
import { fr as dayFr } from './day/fr';
import { en as demoEn } from './demo/en';
import { fr as demoFr } from './demo/fr';
import { en as wallEn } from './wall/en';
import { fr as wallFr } from './wall/fr';
import { en as orderEn } from './order/en';
import { fr as orderFr } from './order/fr';
import { en as commonEn } from './common/en';
import { fr as commonFr } from './common/fr';
import { en as officeEn } from '../../../office/lib/i18n/en';
import { fr as officeFr } from '../../../office/lib/i18n/fr';
import { en as accountsEn } from '../../../office/accounts/en';
import { fr as accountsFr } from '../../../office/accounts/fr';

type Message = string | ((...values: never[]) => string);

/** All texts by their path, such as `bar.lost`. */
function flatten(value: object, prefix = ''): Map<string, Message> {
  return new Map(
    Object.entries(value).flatMap(([key, child]: [string, object | Message]) => {
      const path = prefix === '' ? key : `${prefix}.${key}`;
      return typeof child === 'object' ? [...flatten(child, path)] : [[path, child] as [string, Message]];
    }),
  );
}

const english = flatten({
  ...en,
  identity: identityEn,
  order: orderEn,
  day: dayEn,
  demo: demoEn,
  wall: wallEn,
  common: commonEn,
  office: officeEn,
  accounts: accountsEn,
});
const french = flatten({
  ...fr,
  identity: identityFr,
  order: orderFr,
  day: dayFr,
  demo: demoFr,
  wall: wallFr,
  common: commonFr,
  office: officeFr,
  accounts: accountsFr,
});

/** Distinct values for the placeholders. As numbers they also fit plurals; each is easy to find in a text. */
const PLACEHOLDERS = [41, 52, 63];
/** One count for each plural category of either language, and 0, which may have a text of its own. */
const COUNTS = [0, 1, 2, 1_000_000];

/** Every text that a message can produce. */
function textsOf(message: Message): string[] {
  if (typeof message === 'string') return [message];
  const call = message as (...values: number[]) => string;
  const valuesFrom = (first: number) => [first, ...PLACEHOLDERS.slice(1)].slice(0, message.length);
  return [PLACEHOLDERS[0] ?? 0, ...COUNTS].map((first) => call(...valuesFrom(first)));
}

const everyText = (messages: Map<string, Message>) =>
  [...messages].flatMap(([path, message]) => textsOf(message).map((text) => [path, text] as const));

describe('the two languages', () => {
  it('have the same keys', () => {
    expect([...french.keys()]).toEqual([...english.keys()]);
  });

  it('use the same placeholders', () => {
    const placeholdersIn = (message: Message) => {
      const [text] = textsOf(message);
      return PLACEHOLDERS.filter((value) => text?.includes(String(value)));
    };
    for (const [path, message] of english) {
      const expected = typeof message === 'string' ? [] : PLACEHOLDERS.slice(0, message.length);
      expect(placeholdersIn(message), `English ${path}`).toEqual(expected);
      expect(placeholdersIn(french.get(path) ?? ''), `French ${path}`).toEqual(expected);
    }
  });

  it('leave no # of a plural in a text', () => {
    expect([...everyText(english), ...everyText(french)].filter(([, text]) => text.includes('#'))).toEqual([]);
  });

  it('use typographic apostrophes and quotation marks', () => {
    expect([...everyText(english), ...everyText(french)].filter(([, text]) => /['"]/.test(text))).toEqual([]);
  });
});

describe('French typography', () => {
  /** A protocol and a time of day contain a colon that is not punctuation. */
  const withoutColons = (text: string) => text.replace(/https?:\/\//g, '').replace(/\d\d:\d\d/g, '');
  const violations = (pattern: RegExp) => everyText(french).filter(([, text]) => pattern.test(withoutColons(text)));

  it('has a no-break space before a colon', () => {
    expect(violations(/[^\u00a0]:/)).toEqual([]);
  });

  it('has a narrow no-break space before a semicolon, an exclamation mark and a question mark', () => {
    expect(violations(/[^\u202f][;!?]/)).toEqual([]);
  });

  it('has no-break spaces inside guillemets', () => {
    expect(violations(/«[^\u00a0\u202f]|[^\u00a0\u202f]»/)).toEqual([]);
  });

  it('has a no-break space after n°', () => {
    expect(violations(/n°[^\u00a0]/)).toEqual([]);
  });

  it('is visible in the source: no-break spaces are escapes', () => {
    const folders = ['.', './identity', './order', './day', './demo', './wall', './common', '../../../office/lib/i18n'];
    for (const file of folders.flatMap((folder) => [`${folder}/fr.ts`, `${folder}/en.ts`])) {
      const source = readFileSync(new URL(file, import.meta.url), 'utf8');
      expect(source.split('\n').filter((line) => /[\u00a0\u202f]/.test(line))).toEqual([]);
    }
  });

  it('is checked on real texts', () => {
    const colons = everyText(french).filter(([, text]) => text.includes('\u00a0:'));
    expect(colons.length).toBeGreaterThan(20);
  });
});
