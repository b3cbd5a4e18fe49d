// Measures a first visit on a slow machine: node scripts/first-load.mjs http://localhost:8080
// Chromium's CPU is slowed down four times and its cache is empty. A page is usable once it shows data and reacts to
// clicks. Prints a line of JSON per page: milliseconds since the navigation began, and bytes over the wire.
import { launch } from './chromium.mjs';

const CPU_SLOWDOWN = 4;
const PAGES = ['dashboard', 'orders', 'payments', 'deliveries', 'gateway'];

const [url] = process.argv.slice(2);
if (!url) {
  console.error('The URL of a gateway is missing: node scripts/first-load.mjs http://localhost:8080');
  process.exit(2);
}

/** Runs in the page before its own scripts. */
function recordUsable() {
  const isUsable = () => {
    const bar = document.querySelector('[data-testid="kafka-bar"]');
    return bar && bar.dataset.tone !== 'quiet' && !document.querySelector('.skeleton');
  };
  const check = () => {
    if (!isUsable()) return requestAnimationFrame(check);
    // The frame is painted and the task queue is empty: the page would handle a click now.
    return requestAnimationFrame(() => setTimeout(() => (window.usableAfter = performance.now())));
  };
  requestAnimationFrame(check);
}

const browser = await launch();
for (const name of PAGES) {
  const context = await browser.newContext({ locale: 'fr-FR', serviceWorkers: 'block' });
  const page = await context.newPage();
  const cdp = await context.newCDPSession(page);
  await cdp.send('Network.enable');
  await cdp.send('Emulation.setCPUThrottlingRate', { rate: CPU_SLOWDOWN });
  let bytes = 0;
  cdp.on('Network.loadingFinished', (finished) => (bytes += finished.encodedDataLength));
  await page.addInitScript(recordUsable);
  await page.goto(`${url}/${name}`, { waitUntil: 'commit' });
  const ms = await (await page.waitForFunction(() => window.usableAfter, undefined, { timeout: 30_000 })).jsonValue();
  console.log(JSON.stringify({ page: name, ms, bytes }));
  await context.close();
}
await browser.close();
