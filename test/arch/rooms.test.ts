import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { expect } from 'chai';
import { readSources, rootDir, sourceFolders } from '../../scripts/repo/source-files.ts';
import { importsOf } from '../../scripts/repo/source-scan.ts';
import { closure, layers } from './layers.ts';

const page = readFileSync(join(rootDir, 'docs', 'architecture.md'), 'utf8');
const skipped = new Set(['node_modules', 'dist', 'zoo']);
const mostFiles = 30;

const entriesOf = (path: string) => readdirSync(join(rootDir, path), { withFileTypes: true });
const foldersIn = (path: string): string[] =>
  entriesOf(path).flatMap((entry) =>
    entry.isDirectory() && !skipped.has(entry.name) ? [`${path}/${entry.name}`] : [],
  );
const filesIn = (path: string): number => entriesOf(path).filter((entry) => entry.isFile()).length;

/** A folder and those below it. */
const tree = (path: string): string[] => [path, ...foldersIn(path).flatMap(tree)];

/** Folders whose own folders are rooms, each of which needs a row; of the others the folder itself is the room. */
const houses = ['training', 'server', 'scripts', 'test'];
const rooms = sourceFolders.flatMap((top) => (houses.includes(top) ? foldersIn(top) : [top]));

/** Folders in the first column of the page's tables of folders. */
const rowsOf = (text: string): string[] =>
  [...text.matchAll(/^\| folder \|.*\n((?:\|.*\n)+)/gm)]
    .flatMap(([, body]) => [...body!.matchAll(/^\| (`[^|]*`) \|/gm)])
    .flatMap(([, cell]) => [...cell!.matchAll(/`([\w/-]+)`/g)].map((match) => match[1]!));

/** `a <- b <- {c, d};  …` in the page's blocks of code: what each layer imports directly. */
function arrowsOf(text: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const blocks = [...text.matchAll(/^```\n(.*?)^```/gms)].map((match) => match[1]!).filter((one) => one.includes('<-'));
  for (const chain of blocks.join('\n').split(/[;\n]/)) {
    const steps = chain.split('<-').map((step) => step.match(/\w+/g) ?? []);
    for (const [i, step] of steps.entries())
      for (const layer of step) found.set(layer, [...(found.get(layer) ?? []), ...(steps[i - 1] ?? [])]);
  }
  return found;
}

const allBelow = (layer: string, arrows: ReadonlyMap<string, readonly string[]>): string[] => {
  const reached = new Set([layer]);
  for (const one of reached) for (const below of arrows.get(one) ?? []) reached.add(below);
  return [...reached].sort();
};

describe('rooms', () => {
  it('every folder has a row in docs/architecture.md, and every row a folder', () => {
    const rows = rowsOf(page);
    expect(rooms.length).to.be.above(25);
    expect(rooms.filter((room) => !rows.includes(room))).to.deep.equal([]);
    expect(rows.filter((row) => !existsSync(join(rootDir, row)))).to.deep.equal([]);
  });

  it('every layer is a folder, and every folder of training/ a layer', () => {
    const folders = foldersIn('training').map((path) => posix.basename(path));
    expect(Object.keys(layers).sort()).to.deep.equal([...folders, 'models', 'tasks'].sort());
  });

  it('the arrows of docs/architecture.md are the layers that imports.test.ts guards', () => {
    const arrows = arrowsOf(page);
    const drawn = Object.fromEntries([...arrows.keys()].map((layer) => [layer, allBelow(layer, arrows)]));
    const guarded = Object.fromEntries(Object.keys(layers).map((layer) => [layer, [...closure(layer)].sort()]));
    expect(drawn).to.deep.equal(guarded);
  });

  it(`no folder has more than ${mostFiles} files`, () => {
    const counted = [...sourceFolders, 'docs'].flatMap(tree).map((path) => ({ path, files: filesIn(path) }));
    expect(counted.length).to.be.above(50);
    expect(counted.filter(({ files }) => files > mostFiles)).to.deep.equal([]);
  });

  it('test/unit mirrors the tree: a folder for a room, and each test there imports from it', () => {
    const tests = readSources().filter(({ path }) => path.startsWith('test/unit/') && path.endsWith('.test.ts'));
    const strangers = tests.filter(({ path, text }) => {
      const room = path.split('/').slice(2, -1).join('/');
      const targets = importsOf(text).map(({ specifier }) => posix.join(posix.dirname(path), specifier));
      return room === '' || !targets.some((to) => to.startsWith(`${room}/`) || to.startsWith(`training/${room}/`));
    });
    expect(tests.length).to.be.above(40);
    expect(strangers.map(({ path }) => path)).to.deep.equal([]);
  });
});

describe('the fast lane', () => {
  const sources = new Map(readSources().map(({ path, text }) => [path, text]));
  const starters = /^node:(child_process|worker_threads)$|^playwright-core$/;

  /** Whether a file of test/, or one of test/ that it imports, starts a process. */
  function starts(path: string, seen = new Set<string>()): boolean {
    seen.add(path);
    const lines = importsOf(sources.get(path) ?? '').filter(({ typeOnly }) => !typeOnly);
    if (lines.some(({ specifier }) => starters.test(specifier))) return true;
    return lines
      .map(({ specifier }) => posix.join(posix.dirname(path), specifier))
      .some((to) => to.startsWith('test/') && !seen.has(to) && starts(to, seen));
  }

  const fast = [...sources.keys()].filter(
    (path) => /^test\/.*\.test\.ts$/.test(path) && !/^test\/(client|server|train)\/|\.slow\.test\.ts$/.test(path),
  );

  it('starts no process: a test that does is named *.slow.test.ts', () => {
    expect(fast.length).to.be.above(60);
    expect(fast.filter((path) => starts(path))).to.deep.equal([]);
    expect(starts('test/contract/backends/backends.slow.test.ts'), 'the rule itself works').to.equal(true);
  });

  it('is what npm run test:fast runs', () => {
    const { scripts } = JSON.parse(readFileSync(join(rootDir, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    const excluded = [...scripts['test:fast']!.matchAll(/--exclude "([^"]+)"/g)].map((match) => match[1]);
    expect(excluded).to.deep.equal(['dist/test/{client,server,train}/**', 'dist/test/**/*.slow.test.js']);
  });
});
