// What a page in a real browser goes through while somebody else sells: node scripts/watch.mjs http://localhost:8080 rows|tasks
// Says {"ready":true} once the page is live, watches until a line comes in on stdin, then prints one line of JSON:
//   rows   of the orders page: {"rows": [[order_id, when its row was put in, when the next frame began], …]}, Unix milliseconds
//   tasks  of the dashboard: {"longest": milliseconds of the longest task on the page's main thread, "tasks": how many there
//          were, "right": whether its cards ended up as /api/stats says}
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { launch } from './chromium.mjs';

const PATIENCE_MS = 60_000;

/** Runs in the page: notes each row when it is put in, and the frame that shows it. */
function noteRows() {
  window.rows = [];
  const known = new Set();
  const look = () => {
    const fresh = [...document.querySelectorAll('tr[data-id]')].map((row) => row.dataset.id).filter((id) => !known.has(id));
    for (const id of fresh) known.add(id);
    const now = Date.now();
    if (fresh.length > 0) requestAnimationFrame(() => fresh.forEach((id) => window.rows.push([id, now, Date.now()])));
  };
  look();
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ['data-id'] });
}

/** Of the main threads of all pages, in milliseconds. */
function tasksIn(trace) {
  const { traceEvents } = JSON.parse(trace.toString());
  const thread = ({ pid, tid }) => `${pid} ${tid}`;
  const main = new Set(traceEvents.filter((e) => e.name === 'thread_name' && e.args.name === 'CrRendererMain').map(thread));
  return traceEvents.filter((e) => e.name.endsWith('RunTask') && main.has(thread(e))).map((e) => e.dur / 1000);
}

async function right(page) {
  const number = new Intl.NumberFormat('en-GB');
  const until = Date.now() + PATIENCE_MS;
  while (Date.now() < until) {
    const stats = await (await page.request.get('/api/stats')).json();
    const money = new Intl.NumberFormat('en-GB', { style: 'currency', currency: stats.currency });
    const wanted = [number.format(stats.total_orders), number.format(stats.success_payments), number.format(stats.total_deliveries), money.format(stats.total_revenue)];
    const cards = (await page.locator('[data-value]').allInnerTexts()).map((text) => text.trim());
    if (JSON.stringify(cards) === JSON.stringify(wanted)) return true;
  }
  return false;
}

const [url, what] = process.argv.slice(2);
if (!url || !['rows', 'tasks'].includes(what)) {
  console.error('which gateway, and what? node scripts/watch.mjs http://localhost:8080 rows|tasks');
  process.exit(2);
}
const browser = await launch();
const page = await browser.newPage({ baseURL: url, locale: 'en-GB', serviceWorkers: 'block' });
await page.goto(what === 'rows' ? '/orders' : '/dashboard');
await page.waitForFunction(() => {
  const bar = document.querySelector('[data-testid="kafka-bar"]');
  return bar && bar.dataset.tone !== 'quiet' && !document.querySelector('.skeleton');
});
if (what === 'rows') await page.evaluate(noteRows);
else await browser.startTracing(page, { categories: ['toplevel', 'disabled-by-default-devtools.timeline'] });
console.log(JSON.stringify({ ready: true }));
await once(createInterface({ input: process.stdin }), 'line');
if (what === 'rows') {
  console.log(JSON.stringify({ rows: await page.evaluate(() => window.rows) }));
} else {
  const ended = await right(page);
  const tasks = tasksIn(await browser.stopTracing());
  console.log(JSON.stringify({ longest: tasks.reduce((most, one) => Math.max(most, one), 0), tasks: tasks.length, right: ended }));
}
await browser.close();
process.exit(0);
