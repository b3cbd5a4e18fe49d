/** Searches of the simulated gateway, which find what the real one finds (gateway/src/projection/search_words.rs). */

type Fields = Record<string, unknown>;
type Word = { runs: string; isPrefix: boolean; value: string | null };

const SPECIAL: Record<string, string> = { œ: 'oe', æ: 'ae', ß: 'ss', ø: 'o', ł: 'l' };

/** The folded runs of letters and digits. */
const runsOf = (text: string): string[] =>
  text
    .toLowerCase()
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .replace(/[œæßøł]/g, (letter) => SPECIAL[letter] ?? letter)
    .split(/[^a-z0-9]+/)
    .filter(Boolean);

function amountOf(text: string): string | null {
  const match = /^-*(\d+)[.,](\d{2,})$/.exec(text);
  return match && `amount${match[1]?.replace(/^0+/, '')}x${match[2]?.replace(/(?<=..)0+$/, '')}`;
}

const dayOf = (text: string): string | null =>
  /^\d{4}-\d{2}-\d{2}$/.test(text) ? `day${text.replaceAll('-', '')}` : null;

function wordOf(word: string): Word | null {
  const runs = runsOf(word);
  if (runs.length === 0) return null;
  const value = amountOf(word.replace(/^€+|€+$/g, '')) ?? dayOf(word);
  return { runs: ` ${runs.join(' ')}`, isPrefix: [...word].length >= 3, value };
}

/** Whether an item has all words, or `null` if there are no words. `seesAll`: with e-mail and address. */
export function searchFor(words: string, timeZone: string, seesAll: boolean): ((item: object) => boolean) | null {
  const wanted = words
    .split(/\s+/)
    .map(wordOf)
    .filter((word) => word !== null);
  if (wanted.length === 0) return null;
  return (item) => {
    const fields = item as Fields;
    const lines = (fields['lines'] ?? []) as { product: string }[];
    const open = ['order_id', 'payment_id', 'delivery_id', 'customer_name', 'product', 'device'];
    const names = seesAll ? [...open, 'customer_email', 'address'] : open;
    const texts = [...names.map((name) => fields[name]), ...lines.map(({ product }) => product)]
      .filter((text) => typeof text === 'string')
      .map((text) => ` ${runsOf(text).join(' ')} `);
    const { amount, timestamp } = fields;
    const values = [
      typeof amount === 'number' ? amountOf(amount.toFixed(2)) : null,
      typeof timestamp === 'string' ? dayOf(new Date(timestamp).toLocaleDateString('sv', { timeZone })) : null,
    ];
    return wanted.every(
      ({ runs, isPrefix, value }) =>
        texts.some((text) => text.includes(isPrefix ? runs : `${runs} `)) || (value !== null && values.includes(value)),
    );
  };
}
