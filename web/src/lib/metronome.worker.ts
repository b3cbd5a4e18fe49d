/** A clock that a page in the background keeps: browsers slow its own timers down, but not those of a worker. */
const EVERY_MS = 2000;

setInterval(() => postMessage(null), EVERY_MS);
