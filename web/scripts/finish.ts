/**
 * The last steps of a build: it writes the service worker with the list of files to cache, if there is one, compresses
 * each file for the program that embeds it, and checks the size of a first visit.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { Plugin, Rolldown } from 'vite';

const COMPRESSIBLE = /\.(html|js|css|svg|json|webmanifest)$/;
/** Browsers request these only when somebody installs or bookmarks a page. */
const ICONS = /\.png$/;
/**
 * The pages and the menu of sign-in, the pages of other shops, of one order and of one day, wall mode, what only a demo
 * has, the history in an opened row, the dead letters, configuration errors, the choice of a shop, searches, the dialog that saves a file, and some of the office. They are
 * downloaded when somebody opens them, and are useless without the server, so the service worker does not cache them.
 * The office's live connection is downloaded after its page is shown.
 */
const ON_DEMAND =
  /\/src\/((pages|components)\/identity|pages\/otherShop|pages\/(order|day|wall)|components\/demo)\/|\/components\/(gateway\/(DeadLetters|SettingsProblems)|search\/(Palette|ListSearch)|ShopPicker|ExportDialog|OrderHistory)\.svelte$|\/office\/(pages|commands|accounts|lib\/liveSocket\.ts$)/;

const kilobytes = (bytes: number) => `${(bytes / 1024).toFixed(1)} KB`;

async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !/\.(br|gz)$/.test(file))
    .sort();
}

/** The files that only on-demand pages need. */
function findOnDemand(bundle: Rolldown.OutputBundle): Set<string> {
  const firstVisit = new Set<string>();
  const visit = (name: string) => {
    const chunk = bundle[name];
    if (firstVisit.has(name)) return;
    firstVisit.add(name);
    if (chunk?.type !== 'chunk') return;
    const isEager = (imported: string) => {
      const target = bundle[imported];
      return target?.type !== 'chunk' || !ON_DEMAND.test(target.facadeModuleId ?? '');
    };
    const { viteMetadata } = chunk as typeof chunk & { viteMetadata?: { importedCss: Set<string> } };
    [...chunk.imports, ...chunk.dynamicImports.filter(isEager), ...(viteMetadata?.importedCss ?? [])].forEach(visit);
  };
  const chunks = Object.values(bundle).filter((file) => file.type === 'chunk');
  chunks.filter((chunk) => chunk.isEntry).forEach((chunk) => visit(chunk.fileName));
  const css = chunks.flatMap((chunk) => [
    ...((chunk as typeof chunk & { viteMetadata?: { importedCss: Set<string> } }).viteMetadata?.importedCss ?? []),
  ]);
  return new Set([...chunks.map(({ fileName }) => fileName), ...css].filter((name) => !firstVisit.has(name)));
}

async function writeServiceWorker(dist: string, source: string, files: string[], shellFiles: string[]): Promise<void> {
  const shell = shellFiles.map((file) => `/${relative(dist, file)}`).filter((path) => path !== '/index.html');
  const hash = createHash('sha256');
  for (const file of files) hash.update(await readFile(file));
  const code = (await readFile(source, 'utf8'))
    .replace("['__SHELL__']", JSON.stringify(['/', ...shell]))
    .replace('__VERSION__', hash.digest('hex').slice(0, 12));
  await writeFile(join(dist, 'sw.js'), code);
}

/** Writes compressed copies of a file beside it. Returns the number of bytes that a browser downloads. */
async function compress(file: string): Promise<number> {
  const raw = await readFile(file);
  if (!COMPRESSIBLE.test(file)) return raw.length;
  const brotli = brotliCompressSync(raw, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: raw.length },
  });
  await writeFile(`${file}.br`, brotli);
  await writeFile(`${file}.gz`, gzipSync(raw, { level: 9 }));
  return brotli.length;
}

/** `maxBytes` limits what a browser downloads on a first visit, compressed with Brotli. */
export function finishBuild({ serviceWorker, maxBytes }: { serviceWorker?: string; maxBytes: number }): Plugin {
  let dist = 'dist';
  let onDemand = new Set<string>();
  return {
    name: 'finish-build',
    apply: 'build',
    configResolved(config) {
      dist = resolve(config.root, config.build.outDir);
    },
    writeBundle(_, bundle) {
      onDemand = findOnDemand(bundle);
    },
    async closeBundle() {
      const isOnFirstVisit = (file: string) => !ICONS.test(file) && !onDemand.has(relative(dist, file));
      const files = await listFiles(dist);
      if (serviceWorker !== undefined) {
        await writeServiceWorker(dist, serviceWorker, files, files.filter(isOnFirstVisit));
      }
      let total = 0;
      for (const file of await listFiles(dist)) {
        const size = await compress(file);
        if (isOnFirstVisit(file)) total += size;
        const note = onDemand.has(relative(dist, file)) ? ' (on demand)' : '';
        this.info(`${kilobytes(size).padStart(10)}  ${relative(dist, file)}${note}`);
      }
      const summary = `A first visit downloads ${kilobytes(total)} with Brotli; the limit is ${kilobytes(maxBytes)}.`;
      if (total > maxBytes) this.error(summary);
      this.info(summary);
    },
  };
}
