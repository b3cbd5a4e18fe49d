/**
 * A name from outside may be written from right to left, or turn what stands beside it around. Elements isolate it by `<bdi>`;
 * where there is only text (titles, labels, notices), it is isolated by characters, and cannot end that by itself.
 */
const CONTROLS = /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
/** The blocks of scripts that are written from right to left, and the controls. */
const TURNS = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

export const isolated = (text: string): string => (TURNS.test(text) ? `\u2068${text.replace(CONTROLS, '')}\u2069` : text);
