/** Lists as CSV files. */
import { RequestError, send } from './http';

export type ListName = 'orders' | 'payments' | 'deliveries';

/** Days of the reader's time zone, such as `2026-11-30`, both included. Empty: without a limit. */
export type Period = { first: string; last: string };

/** The gateway answers after this time, and sends something this often. It may first have to write its newest sales. */
const SILENCE_MS = 60_000;

/** The address of a list, for the sales of a period that have the words. */
export function listPath(list: ListName, { first, last }: Period, words = ''): string {
  const parameters = new URLSearchParams();
  if (first !== '') parameters.set('from', midnight(first, 0));
  if (last !== '') parameters.set('to', midnight(last, 1));
  if (words !== '') parameters.set('q', words);
  return `/api/${list}${parameters.size === 0 ? '' : `?${parameters}`}`;
}

/** When a day begins in the reader's time zone, or a later one: a day may have 23 or 25 hours. */
function midnight(day: string, daysLater: number): string {
  const [year = 0, month = 1, date = 1] = day.split('-').map(Number);
  return new Date(year, month - 1, date + daysLater).toISOString();
}

export const fileName = (list: ListName, { first, last }: Period): string =>
  `${[list, first, last].filter((part) => part !== '').join('_')}.csv`;

type Options = { language: string; signal: AbortSignal; onProgress: (bytes: number) => void };

/**
 * Requests a list as a file, in the format that a spreadsheet in this language expects.
 *
 * @throws `RequestError` if the gateway refuses, does not answer, or does not send the whole file.
 */
export async function fetchFile(path: string, { language, signal, onProgress }: Options): Promise<Blob> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const response = await send(path, {
      headers: { accept: 'text/csv', 'accept-language': language },
      signal: AbortSignal.any([signal, silence.signal]),
    });
    const reader = response.body?.getReader();
    const parts: BlobPart[] = [];
    let bytes = 0;
    for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      parts.push(part.value);
      onProgress((bytes += part.value.length));
    }
    return new Blob(parts, { type: 'text/csv;charset=utf-8' });
  } catch (error) {
    // A file that was cut off counts as no answer.
    throw error instanceof RequestError ? error : new RequestError(null);
  } finally {
    clearTimeout(timer);
  }
}

/** Lets the browser save a file. */
export function saveFile(file: Blob, name: string): void {
  const url = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
