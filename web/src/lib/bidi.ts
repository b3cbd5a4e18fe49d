/**
 * Text from outside may be written from right to left, or contain control characters that reorder the text beside it.
 * Elements isolate such text with `<bdi>`. In plain text (titles, labels, toasts), `isolate` removes the text's own
 * control characters and encloses it in isolating ones.
 */
const CONTROLS = /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
/** The Unicode blocks of right-to-left scripts, and the control characters. */
const RIGHT_TO_LEFT =
  /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

export const isolate = (text: string): string =>
  RIGHT_TO_LEFT.test(text) ? `\u2068${text.replace(CONTROLS, '')}\u2069` : text;
