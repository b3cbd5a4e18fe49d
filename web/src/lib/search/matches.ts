/** Which names of pages and actions somebody may mean. The gateway searches the sales itself. */

const fold = (text: string) =>
  text.normalize('NFD').replace(/\p{M}/gu, '').replace(/œ/gi, 'oe').replace(/æ/gi, 'ae').toLowerCase();

/** Whether each word begins a word of the name. Case and accents do not matter. */
export function matches(name: string, words: string): boolean {
  const parts = fold(name).split(/[^\p{L}\p{N}]+/u);
  const wanted = fold(words).split(/\s+/).filter(Boolean);
  return wanted.every((word) => parts.some((part) => part.startsWith(word)));
}
