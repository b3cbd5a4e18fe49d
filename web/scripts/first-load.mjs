// How long a first visit takes on a slow machine: node scripts/first-load.mjs http://localhost:8080
// Chromium's CPU is slowed four times and nothing is cached. Usable: the data is there, and the page answers. Prints a line of
// JSON for each page: milliseconds since the navigation began, bytes over the wire.
import { launch } from './chromium.mjs';

const SLOWER = 4;
const PAGES = ['dashboard', 'orders', 'payments', 'deliveries', 'gateway'];

const [url] = process.argv.slice(2);
if (!url) {
  console.error('which gateway? node scripts/first-load.mjs http://localhost:8080');
  process.exit(2);
}

/** Runs in the page, from its very beginning. */
function watch() {
  const usable = () => {
    const bar = document.querySelector('[data-testid="kafka-bar"]');
    return bar && bar.dataset.tone !== 'quiet' && !document.querySelector('.skeleton');
  };
  const look = () => {
    if (!usable()) return requestAnimationFrame(look);
    // Painted, and whatever else was to be done is done: the next click would be taken.
    return requestAnimationFrame(() => setTimeout(() => (window.usableAfter = performance.now())));
  };
  requestAnimationFrame(look);
}

const browser = await launch();
for (const name of PAGES) {
  const context = await browser.newContext({ locale: 'fr-FR', serviceWorkers: 'block' });
  const page = await context.newPage();
  const cdp = await context.newCDPSession(page);
  await cdp.send('Network.enable');
  await cdp.send('Emulation.setCPUThrottlingRate', { rate: SLOWER });
  let bytes = 0;
  cdp.on('Network.loadingFinished', (finished) => (bytes += finished.encodedDataLength));
  await page.addInitScript(watch);
  await page.goto(`${url}/${name}`, { waitUntil: 'commit' });
  const ms = await (await page.waitForFunction(() => window.usableAfter, undefined, { timeout: 30_000 })).jsonValue();
  console.log(JSON.stringify({ page: name, ms, bytes }));
  await context.close();
}
await browser.close();
