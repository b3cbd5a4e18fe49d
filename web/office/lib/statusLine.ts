/** The sentence below the top bar: whether the office answers, and how old the shown data is. */
import { RequestError } from '../../src/lib/api/http';
import type { Formats } from '../../src/lib/i18n/format';
import type { StatusLine } from '../../src/lib/live/statusLine';
import type { Ages } from './ages';
import type { OfficeMessages } from './i18n/en';
import type { Overview } from './types';

/**
 * The lag at which the office counts as late in reading Kafka. It exceeds three of the usual intervals between two
 * states, because the office has nothing newer to read while no shop publishes one.
 */
const LATE_AFTER_MS = 16 * 60_000;

type StatusInput = {
  overview: Pick<Overview, 'time' | 'as_of'> | null;
  /** In Unix milliseconds. */
  readAt: number | null;
  error: unknown;
  /** In Unix milliseconds. */
  now: number;
  /** Whether sales appear as they happen. */
  isLive: boolean;
};

export function describeStatus(
  { overview, readAt, error, now, isLive }: StatusInput,
  t: OfficeMessages,
  f: Formats,
  ages: Ages,
): StatusLine {
  // The page's clock ticks once a second, so it may lag behind `readAt`.
  const ago = readAt === null ? '' : ages.ago(Math.max(0, now - readAt));
  if (error !== null) {
    const stale = readAt === null ? [] : [t.bar.stale(f.moment(new Date(readAt).toISOString()), ago)];
    return { tone: 'bad', text: describeFailure(error, t), more: [...stale, t.bar.again] };
  }
  if (readAt === null) return { tone: 'quiet', text: t.bar.reading, more: [] };
  const readUntil = overview?.as_of;
  if (overview && readUntil !== undefined && Date.parse(overview.time) - Date.parse(readUntil) > LATE_AFTER_MS) {
    return { tone: 'wait', text: t.bar.late(f.moment(readUntil)), more: [t.bar.lateHint, t.bar.read(ago)] };
  }
  return { tone: 'good', text: t.bar.good, more: [isLive ? t.bar.live : t.bar.notLive, t.bar.read(ago)] };
}

/**
 * Why the overview could not be read.
 *
 * @throws `error` itself if it is not a `RequestError`: that is a bug, not a failed request.
 */
export function describeFailure(error: unknown, t: OfficeMessages): string {
  if (!(error instanceof RequestError)) throw error;
  // A later version of the office may have more types.
  const texts: Partial<Record<string, string>> = t.failure.problem;
  const text = error.problem === null ? undefined : texts[error.problem.type];
  return text ?? (error.status === null ? t.failure.unreachable : t.failure.other(error.status));
}
