// Draws the PNG icons from favicon.svg with Chromium. Run it after changing the drawing, and commit the PNGs.
import { readFile } from 'node:fs/promises';
import { launch } from './chromium.mjs';

const svg = await readFile('public/favicon.svg', 'utf8');
// A launcher may crop a maskable icon to any shape: the drawing stays in the middle, its background fills the rest.
const maskable = svg
  .replace('rx="15"', '')
  .replace(/(<path.*<circle[^>]*>)/s, '<g transform="translate(32 32) scale(.72) translate(-32 -32)">$1</g>');

const browser = await launch();
const page = await browser.newPage();
for (const [name, size, drawing] of [
  ['icon-192', 192, svg],
  ['icon-512', 512, svg],
  ['icon-maskable-512', 512, maskable],
]) {
  await page.setViewportSize({ width: size, height: size });
  await page.setContent(`<style>body{margin:0}svg{display:block;width:100vw;height:100vh}</style>${drawing}`);
  await page.screenshot({ path: `public/${name}.png`, omitBackground: true });
}
await browser.close();
