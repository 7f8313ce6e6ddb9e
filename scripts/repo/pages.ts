import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Plugin, Rollup, UserConfig } from 'vite';
import type { TaskContract, TaskPage } from '../../tasks/task.ts';
import { ensure } from '../../training/core/errors.ts';

/** A page of a task, and the folder in which its `page.html`, `page.web.ts` and `here.web.ts` lie. */
interface PageSource extends TaskPage {
  readonly task: string;
  readonly folder: string;
}

export interface PagesOptions {
  /** The root of the repository. */
  readonly root: string;
  readonly outDir: string;
  /** Folders of tasks that do not lie in `tasks/NAME`, by the task's name. */
  readonly folders?: Readonly<Record<string, string>>;
}

/** `/` -> `index`, `/NAME` -> `NAME`: the name of a page's file. */
function stemOf({ path, task }: PageSource): string {
  const [, stem] = /^\/([\w-]*)$/.exec(path) ?? [];
  ensure(stem !== undefined, 'bad-argument', () => {
    return `${task}: expected a page at / or /NAME, got ${path}; addresses in a page are relative to its folder`;
  });
  return stem || 'index';
}

/** `NAME.html` -> `./NAME`: the address at which a file is served, from the folder of the pages. */
const addressOf = (file: string): string => `./${file.replace(/(?:^index)?\.html$/, '')}`;

/** The header's links, that of the page itself marked. */
const linksOf = (pages: readonly PageSource[], current: string): string =>
  pages
    .map((page) => {
      const file = `${stemOf(page)}.html`;
      return `<a href="${addressOf(file)}"${file === current ? ' aria-current="page"' : ''}>${page.link}</a>`;
    })
    .join('\n        ');

/** Puts what the pages share, `parts/NAME.html`, where a page has `<!-- part: NAME -->`; the part `links` is made from the contracts. */
const pageParts = (client: string, pages: readonly PageSource[]): Plugin => ({
  name: 'fettle:page-parts',
  transformIndexHtml: {
    order: 'pre',
    handler: (html, { path }) => {
      const fill = (text: string): string => text.replace(/<!-- part: (\w+) -->/g, (_, name: string) => partOf(name));
      const partOf = (name: string): string =>
        name === 'links'
          ? linksOf(pages, path.slice(1))
          : fill(readFileSync(join(client, 'parts', `${name}.html`), 'utf8').trimEnd());
      return fill(html);
    },
  },
});

/** Has vite find a task's `page.html` as if it lay beside the parts, under the name with which it is served. */
function pagesFromTasks(folders: ReadonlyMap<string, string>): Plugin {
  return {
    name: 'fettle:pages-from-tasks',
    enforce: 'pre',
    resolveId(source, importer) {
      const folder = folders.get(importer ?? '');
      if (folder !== undefined && source.endsWith('.web.ts')) return join(folder, source);
      return folders.has(source) ? source : null;
    },
    load: (id) => (folders.has(id) ? readFileSync(join(folders.get(id)!, 'page.html'), 'utf8') : null),
  };
}

const hereModule = 'virtual:here-tasks';

/** Makes the table of what the browser does itself: the `hereTask` of every page whose folder has a `here.web.ts`. */
function hereTasks(pages: readonly PageSource[]): Plugin {
  const found = pages.flatMap(({ task, folder }) => {
    const file = join(folder, 'here.web.ts');
    return existsSync(file) ? [{ task, file }] : [];
  });
  const lines = [
    ...found.map(({ file }, i) => `import { hereTask as task${i} } from ${JSON.stringify(file)};`),
    `export const hereTasks = new Map([${found.map(({ task }, i) => `[${JSON.stringify(task)}, task${i}]`)}]);`,
  ];
  return {
    name: 'fettle:here-tasks',
    resolveId: (id) => (id === hereModule ? `\0${hereModule}` : null),
    load: (id) => (id === `\0${hereModule}` ? lines.join('\n') : null),
  };
}

/** What the service worker keeps from the start; the runtimes' .wasm files are fetched later, for the chosen device. */
const isShell = (file: string): boolean => !/\.(wasm|map)$/.test(file) && file !== 'sw.js';

/**
 * Writes into sw.js which build it belongs to and which files make the page: so a new build is a new sw.js, and the
 * browser notices.
 */
function fillServiceWorker(): Plugin {
  return {
    name: 'fettle:fill-service-worker',
    enforce: 'post',
    generateBundle(_options, bundle) {
      const worker = bundle['sw.js'] as Rollup.OutputChunk | undefined;
      if (worker === undefined) throw new Error('fill-service-worker: expected sw.js in the bundle');
      const files = Object.keys(bundle).filter(isShell).sort();
      const hash = createHash('sha256');
      for (const file of files) {
        const part = bundle[file];
        if (part !== undefined) hash.update(file).update(part.type === 'chunk' ? part.code : part.source);
      }
      worker.code = worker.code
        .replace('__BUILD__', JSON.stringify(hash.update(worker.code).digest('hex').slice(0, 16)))
        .replace('__SHELL__', JSON.stringify(files.map(addressOf)));
    },
  };
}

/** The typed client's compiled modules lie in the same folder (`tsc` puts them there), so only old assets are removed. */
function removeOldAssets(): Plugin {
  let assets = '';
  return {
    name: 'fettle:remove-old-assets',
    configResolved: ({ root, build }) => {
      assets = resolve(root, build.outDir, 'assets');
    },
    buildStart: () => rmSync(assets, { recursive: true, force: true }),
  };
}

/** pageConfig: how vite builds the pages of the tasks; every address in them is relative, so that they work below any path. */
export function pageConfig(tasks: readonly TaskContract[], { root, outDir, folders = {} }: PagesOptions): UserConfig {
  const client = join(root, 'client');
  const pages = tasks.flatMap(({ name, page }): PageSource[] =>
    page === undefined ? [] : [{ ...page, task: name, folder: folders[name] ?? join(root, 'tasks', name) }],
  );
  const files = pages.map((page) => join(client, `${stemOf(page)}.html`));
  const folderOf = new Map(pages.map(({ folder }, i) => [files[i]!, folder]));
  return {
    root: client,
    base: './',
    define: { __PAGES__: JSON.stringify(pages.map(({ folder: _, ...page }) => page)) },
    // onnxruntime-web's own loader files stay files of their own: their threads start from them, by URL.
    resolve: { conditions: ['onnxruntime-web-use-extern-wasm', 'module', 'browser', 'production'] },
    plugins: [removeOldAssets(), pagesFromTasks(folderOf), pageParts(client, pages), fillServiceWorker()],
    worker: { format: 'es', plugins: () => [hereTasks(pages)] },
    build: {
      target: 'es2022',
      outDir,
      emptyOutDir: false,
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      // The runtimes are large by nature; a warning at every build would teach nobody anything.
      chunkSizeWarningLimit: 1000,
      rollupOptions: {
        checks: { pluginTimings: false },
        input: [...files, join(client, 'sw.ts')],
        output: {
          entryFileNames: (chunk) => (chunk.name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js'),
          chunkFileNames: 'assets/[name]-[hash].js',
          assetFileNames: 'assets/[name]-[hash][extname]',
        },
      },
    },
  };
}
