// Measures a page in a real browser under load: node scripts/watch.mjs http://localhost:8080 rows|tasks
// Prints {"ready":true} once the page is live, measures until a line arrives on stdin, then prints one line of JSON:
//   rows   on the orders page: {"rows": [[order_id, when its row was added, when the next frame began], …]}, as Unix
//          milliseconds
//   tasks  on the dashboard: {"longest": milliseconds of the longest task on the main thread, "tasks": their number,
//          "right": whether the cards ended up equal to /api/stats}
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { launch } from './chromium.mjs';

const TIMEOUT_MS = 60_000;

/** Runs in the page: records when each row is added, and the frame that shows it. */
function recordRows() {
  window.rows = [];
  const known = new Set();
  const record = () => {
    const fresh = [...document.querySelectorAll('tr[data-id]')]
      .map((row) => row.dataset.id)
      .filter((id) => !known.has(id));
    for (const id of fresh) known.add(id);
    const now = Date.now();
    if (fresh.length > 0) requestAnimationFrame(() => fresh.forEach((id) => window.rows.push([id, now, Date.now()])));
  };
  record();
  new MutationObserver(record).observe(document.body, {
    childList: true,
    subtree: true,
    attributes: true,
    attributeFilter: ['data-id'],
  });
}

/** The durations of the tasks on the main threads of all pages, in milliseconds. */
function taskDurations(trace) {
  const { traceEvents } = JSON.parse(trace.toString());
  const thread = ({ pid, tid }) => `${pid} ${tid}`;
  const main = new Set(
    traceEvents.filter((e) => e.name === 'thread_name' && e.args.name === 'CrRendererMain').map(thread),
  );
  return traceEvents.filter((e) => e.name.endsWith('RunTask') && main.has(thread(e))).map((e) => e.dur / 1000);
}

/** Waits until the cards are equal to /api/stats. Returns false if they are not within the timeout. */
async function waitForRightCards(page) {
  const number = new Intl.NumberFormat('en-GB');
  const deadline = Date.now() + TIMEOUT_MS;
  while (Date.now() < deadline) {
    const stats = await (await page.request.get('/api/stats')).json();
    const money = new Intl.NumberFormat('en-GB', { style: 'currency', currency: stats.currency });
    const expected = [
      number.format(stats.total_orders),
      number.format(stats.success_payments),
      number.format(stats.total_deliveries),
      money.format(stats.total_revenue),
    ];
    const cards = (await page.locator('[data-value]').allInnerTexts()).map((text) => text.trim());
    if (JSON.stringify(cards) === JSON.stringify(expected)) return true;
  }
  return false;
}

const [url, what] = process.argv.slice(2);
if (!url || !['rows', 'tasks'].includes(what)) {
  console.error('Usage: node scripts/watch.mjs http://localhost:8080 rows|tasks');
  process.exit(2);
}
const browser = await launch();
const page = await browser.newPage({ baseURL: url, locale: 'en-GB', serviceWorkers: 'block' });
await page.goto(what === 'rows' ? '/orders' : '/dashboard');
await page.waitForFunction(() => {
  const bar = document.querySelector('[data-testid="kafka-bar"]');
  return bar && bar.dataset.tone !== 'quiet' && !document.querySelector('.skeleton');
});
if (what === 'rows') await page.evaluate(recordRows);
else await browser.startTracing(page, { categories: ['toplevel', 'disabled-by-default-devtools.timeline'] });
console.log(JSON.stringify({ ready: true }));
await once(createInterface({ input: process.stdin }), 'line');
if (what === 'rows') {
  console.log(JSON.stringify({ rows: await page.evaluate(() => window.rows) }));
} else {
  const isRight = await waitForRightCards(page);
  const tasks = taskDurations(await browser.stopTracing());
  console.log(
    JSON.stringify({
      longest: tasks.reduce((most, one) => Math.max(most, one), 0),
      tasks: tasks.length,
      right: isRight,
    }),
  );
}
await browser.close();
process.exit(0);
