import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin, type Rollup } from 'vite';
import { addressOf, pageParts } from '../scripts/repo/pages.ts';

/** The pages, by their names; the file of one lies beside this one. */
const pages = ['index', 'segment', 'classify', 'write'] as const;

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

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

export default defineConfig({
  root: here('.'),
  base: '/',
  // onnxruntime-web's own loader files stay files of their own: their threads start from them, by URL.
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', 'module', 'browser', 'production'] },
  plugins: [removeOldAssets(), pageParts(), fillServiceWorker()],
  worker: { format: 'es' },
  build: {
    target: 'es2022',
    outDir: '../dist/client',
    emptyOutDir: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The runtimes are large by nature; a warning at every build would teach nobody anything.
    chunkSizeWarningLimit: 1000,
    rollupOptions: {
      input: { ...Object.fromEntries(pages.map((name) => [name, here(`${name}.html`)])), sw: here('sw.ts') },
      output: {
        entryFileNames: (chunk) => (chunk.name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js'),
        chunkFileNames: 'assets/[name]-[hash].js',
        assetFileNames: 'assets/[name]-[hash][extname]',
      },
    },
  },
});
