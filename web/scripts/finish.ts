/**
 * The last steps of a build: the list of the shell for the service worker, the compressed siblings that the gateway
 * serves as they are, and the sum of what a first visit costs.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';

const COMPRESSIBLE = /\.(html|js|css|svg|json|webmanifest)$/;
/** Asked for by a browser only when somebody installs the page, or bookmarks it. */
const NOT_FIRST = /\.png$/;

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name)).filter((f) => !/\.(br|gz)$/.test(f)).sort();
}

async function writeServiceWorker(dist: string, source: string, files: string[]): Promise<void> {
  const shell = files.map((f) => `/${relative(dist, f)}`).filter((path) => path !== '/index.html' && !NOT_FIRST.test(path));
  const hash = createHash('sha256');
  for (const file of files) hash.update(await readFile(file));
  const code = (await readFile(source, 'utf8')).replace("['__SHELL__']", JSON.stringify(['/', ...shell])).replace('__VERSION__', hash.digest('hex').slice(0, 12));
  await writeFile(join(dist, 'sw.js'), code);
}

async function compress(file: string): Promise<number> {
  const raw = await readFile(file);
  if (!COMPRESSIBLE.test(file)) return raw.length;
  const br = brotliCompressSync(raw, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: raw.length } });
  await writeFile(`${file}.br`, br);
  await writeFile(`${file}.gz`, gzipSync(raw, { level: 9 }));
  return br.length;
}

export function finish(options: { serviceWorker: string; budget: number }): Plugin {
  let dist = 'dist';
  return {
    name: 'finish',
    apply: 'build',
    configResolved(config) {
      dist = resolve(config.root, config.build.outDir);
    },
    async closeBundle() {
      await writeServiceWorker(dist, options.serviceWorker, await filesIn(dist));
      let sum = 0;
      for (const file of await filesIn(dist)) {
        const size = await compress(file);
        if (!NOT_FIRST.test(file)) sum += size;
        this.info(`${(size / 1024).toFixed(1).padStart(7)} KB  ${relative(dist, file)}`);
      }
      const said = `first load of everything: ${(sum / 1024).toFixed(1)} KB over the wire with brotli, of ${options.budget / 1024} KB allowed`;
      if (sum > options.budget) this.error(said);
      this.info(said);
    },
  };
}
