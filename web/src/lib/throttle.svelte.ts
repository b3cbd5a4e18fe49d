/** Counts down the seconds until the gateway accepts another attempt. */
import type { RequestError } from './api/http';

const DEFAULT_SECONDS = 5;

export function createThrottle() {
  let seconds = $state(0);
  $effect(() => {
    if (seconds === 0) return;
    const timer = setTimeout(() => (seconds -= 1), 1000);
    return () => clearTimeout(timer);
  });
  return {
    get seconds() {
      return seconds;
    },
    /** Starts the countdown if the error is the gateway's rate limit. Returns whether it is. */
    start(error: RequestError): boolean {
      if (!error.has('urn:comptoir:problem:too-many-attempts')) return false;
      seconds = error.retryAfter ?? DEFAULT_SECONDS;
      return true;
    },
  };
}
