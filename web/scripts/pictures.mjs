// Makes the README's pictures from screenshots: SHOTS=laptop-fr npm run screenshots && node scripts/pictures.mjs
import { readFile, writeFile } from 'node:fs/promises';
import { launch } from './chromium.mjs';

const WIDTH = 1000;
const PICTURES = { dashboard: 'dashboard-laptop-fr-light', gateway: 'gateway-laptop-fr-dark' };

const browser = await launch();
const page = await browser.newPage();
for (const [name, shot] of Object.entries(PICTURES)) {
  const png = await readFile(`screenshots/${shot}.png`, 'base64');
  const webp = await page.evaluate(
    async ([data, width]) => {
      const image = new Image();
      image.src = `data:image/png;base64,${data}`;
      await image.decode();
      const canvas = document.createElement('canvas');
      [canvas.width, canvas.height] = [width, Math.round((width * image.height) / image.width)];
      const context = canvas.getContext('2d');
      context.imageSmoothingQuality = 'high';
      context.drawImage(image, 0, 0, canvas.width, canvas.height);
      return canvas.toDataURL('image/webp', 0.9).split(',')[1];
    },
    [png, WIDTH],
  );
  await writeFile(`docs/${name}.webp`, Buffer.from(webp, 'base64'));
}
await browser.close();
