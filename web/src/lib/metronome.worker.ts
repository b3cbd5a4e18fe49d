/** A timer that also runs in a background tab: browsers throttle the timers of a page, but not those of a worker. */
const INTERVAL_MS = 2000;

setInterval(() => postMessage(null), INTERVAL_MS);
