import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { expect } from 'chai';
import { readSources, rootDir, type SourceFile, sourceFolders } from '../../scripts/repo/source-files.ts';
import { type ImportLine, importsOf } from '../../scripts/repo/source-scan.ts';
import { contracts } from '../../tasks/contracts.ts';
import { closure, layers } from './layers.ts';

/** Rooms whose code runs anywhere a model is used: in training, on the server and in the browser. */
const shared = String.raw`training/(core|pictures|text|generate)/|tasks/(?!served)\w+\.ts$`;
/** What measures and ships a task's models: run by hand, in Node, and no part of the package. */
const experiments = /^tasks\/\w+\/results\//;
/** What a file may import, by where it lies; the first that fits counts. Nothing below what is named is implied. */
const reach: readonly (readonly [from: RegExp, to: RegExp])[] = [
  [/^tasks\/served\.ts$/, /^(tasks\/(task|\w+\/serve\.node)\.ts|server\/serve\/task\.ts)$/],
  [/^tasks\/(\w+\.ts$|.*\/contract\.ts$)/, new RegExp(`^(${shared}|tasks/\\w+/contract\\.ts$)`)],
  [/^tasks\/.*\/infer\.ts$/, new RegExp(`^(${shared}|training/run/session|tasks/\\w+/(contract|infer)\\.ts$)`)],
  [
    /^tasks\/.*\/serve\.node\.ts$/,
    new RegExp(`^(${shared}|training/run/|server/|tasks/\\w+/(contract|infer|serve)\\b)`),
  ],
  [
    /^tasks\/.*\.web\.ts$/,
    new RegExp(`^(${shared}|client/|tasks/\\w+/(contract\\.ts|infer\\.ts|[\\w-]+(\\.web\\.ts|\\.jpg\\?url)$))`),
  ],
  [/^tasks\/.*\/cli\.node\.ts$/, /^(training|models|tasks|server|scripts\/cli)\//],
  [experiments, /^(training|models|tasks|server|scripts)\//],
  // Where the table comes in: the build of the pages makes the browser's from it.
  [/^client\/vite\.config\.ts$/, /^(scripts\/repo\/pages|tasks\/contracts)\.ts$/],
  [/^server\//, new RegExp(`^(${shared}|server/|training/run/|tasks/\\w+/(contract|infer|serve)\\b)`)],
  [/^client\//, new RegExp(`^(${shared}|client/|training/run/(ort\\.web|session)|tasks/\\w+/contract\\.ts)`)],
];

/** Rooms with derivatives in them, or above such. */
const trains =
  /^(training\/(grad|optim|step|export|loop|learner|runs|report|apps|weights)\/|tasks\/\w+\/(net|recipe|score))/;

interface Edge extends ImportLine {
  readonly from: string;
  /** Path from the root for our own files, the bare name for packages. */
  readonly to: string;
}

/** `training/ops/x.ts` → `ops`, `models/unet.ts` → `models`, `tasks/text/x.ts` → `tasks`, `training/index.ts` → null. */
function layerOf(path: string): string | null {
  const [top, second, third] = path.split('/');
  if (top === 'models' || top === 'tasks') return top;
  return top === 'training' && third !== undefined ? second! : null;
}

const edgesOf = ({ path, text }: SourceFile): Edge[] =>
  importsOf(text).map((line) => {
    const own = line.specifier.startsWith('.');
    return { ...line, from: path, to: own ? posix.join(posix.dirname(path), line.specifier) : line.specifier };
  });

const isIndex = (path: string): boolean => /^training\/index(\.\w+)?\.ts$/.test(path);
const isNodeFile = (path: string): boolean => path.endsWith('.node.ts');
const isOwn = ({ specifier }: Edge): boolean => specifier.startsWith('.');

const sharpOnce = 'sharp, as it is set up, comes from training/pictures/sharp.node.ts';

/** The reason an edge is forbidden, or null. */
function offence(edge: Edge): string | null {
  const { from, to } = edge;
  if (experiments.test(to) && !experiments.test(from)) return 'nothing imports the experiments of a task';
  const rule = reach.find(([where]) => where.test(from));
  if (rule !== undefined && isOwn(edge)) {
    if (rule[1].test(to)) return null;
    if (/^(client\/|tasks\/.*\.web\.ts)/.test(from) && to === 'server/contract.ts' && edge.typeOnly) return null;
    return `files like ${rule[0].source} may import only ${rule[1].source}`;
  }
  return /^(training|models|tasks)\//.test(from) && !experiments.test(from) ? libraryOffence(edge) : null;
}

function libraryOffence(edge: Edge): string | null {
  const { from, to } = edge;
  if (!isOwn(edge)) {
    if (to.startsWith('onnxruntime-') && !from.startsWith('training/run/')) return 'onnxruntime-* only in training/run';
    if (to === 'sharp' && from !== 'training/pictures/sharp.node.ts') return sharpOnce;
    const nodeOnly = to.startsWith('node:') || to === 'sharp' || to === 'onnxruntime-node';
    return nodeOnly && !isNodeFile(from) ? 'Node only in *.node.ts' : null;
  }
  if (isNodeFile(to) && !isNodeFile(from) && !edge.typeOnly) return 'only *.node.ts may import *.node.ts';
  if (to.endsWith('.web.ts') && !from.endsWith('.web.ts')) return 'only *.web.ts may import *.web.ts';
  if (isIndex(from)) return /^(training|models)\//.test(to) ? null : 'the index gathers training and models only';
  const target = layerOf(to);
  const source = layerOf(from)!;
  return target !== null && closure(source).has(target)
    ? null
    : `${source} may import only ${[...closure(source)].join(' ')}`;
}

describe('who may import whom', () => {
  const sources = readSources();
  const edges = sources.flatMap(edgesOf);
  const paths = new Set(sources.map(({ path }) => path));

  it('every folder of training/ has a layer', () => {
    const found = new Set(sources.map(({ path }) => layerOf(path)).filter((layer) => layer !== null));
    expect([...found].filter((layer) => !(layer in layers))).to.deep.equal([]);
  });

  it('imports point down, at things the importer may carry', () => {
    const offences = edges.flatMap((edge) => {
      const reason = offence(edge);
      return reason ? [`${edge.from} imports ${edge.to}: ${reason}`] : [];
    });
    expect(edges.length).to.be.greaterThan(20);
    expect(offences).to.deep.equal([]);
  });

  it('a task is known by its rows in three tables, and by what is exported of it', () => {
    const exported = /^(tasks\/index\.\w+|client\/api|scripts\/cli\/architectures)\.ts$/;
    const users = edges.filter(({ from }) => !/^(test|scripts\/(bench|results))\//.test(from) && !exported.test(from));
    for (const { name } of contracts) {
      const folder = `tasks/${name}/`;
      const found = users.filter(({ from, to }) => to.startsWith(folder) && !from.startsWith(folder));
      const tables = ['tasks/contracts.ts', 'tasks/served.ts', 'tasks/trained.node.ts'];
      expect(found.map(({ from }) => from).sort(), name).to.deep.equal(tables);
    }
  });

  it('relative imports name a file that exists, with its ending', () => {
    const missing = edges.filter((edge) => isOwn(edge) && /\.ts$/.test(edge.to) && !paths.has(edge.to));
    const bare = edges.filter((edge) => isOwn(edge) && !/\.(ts|css|json)$/.test(edge.to) && !edge.to.includes('?'));
    expect([...missing, ...bare].map(({ from, to }) => `${from} -> ${to}`)).to.deep.equal([]);
  });

  it('neither the server nor the page carries autodiff, by whatever way', () => {
    const loads = (path: string): string[] =>
      edges.flatMap((edge) => (edge.from === path && !edge.typeOnly ? [edge.to] : []));
    for (const folder of [/^server\/|\/serve\.node\.ts$/, /^client\/|^tasks\/.*\.web\.ts$/]) {
      const reached = new Set([...paths].filter((path) => folder.test(path)));
      for (const path of reached) for (const to of loads(path)) reached.add(to);
      expect([...reached].filter((path) => trains.test(path))).to.deep.equal([], folder.source);
    }
  });

  it('the layers have no cycle', () => {
    const cyclic = Object.keys(layers).filter((layer) => layers[layer]!.some((below) => closure(below).has(layer)));
    expect(cyclic).to.deep.equal([]);
  });

  it('all but *.web.ts and client/ is compiled without the DOM', () => {
    const config = JSON.parse(readFileSync(join(rootDir, 'tsconfig.json'), 'utf8')) as {
      compilerOptions: { lib: string[] };
      include: string[];
      exclude: string[];
    };
    expect(config.compilerOptions.lib.filter((lib) => /dom|webworker/i.test(lib))).to.deep.equal([]);
    expect(config.exclude).to.have.members(['**/*.web.ts', 'node_modules', 'dist']);
    const folders = sourceFolders.filter((folder) => folder !== 'client').map((folder) => `${folder}/**/*.ts`);
    // The typed client alone runs in Node too.
    expect(config.include).to.have.members([...folders, 'client/api.ts']);
  });

  it('nothing is exported by default', () => {
    const guilty = sources.filter(
      ({ path, text }) => !path.endsWith('vite.config.ts') && /^export default\b/m.test(text),
    );
    expect(guilty.map(({ path }) => path)).to.deep.equal([]);
  });

  it('sees a forbidden edge (the rule itself works)', () => {
    const bad = (from: string, text: string): (string | null)[] => edgesOf({ path: from, text }).map(offence);
    expect(bad('training/core/a.ts', "import { x } from '../onnx/b.ts';")).to.not.include(null);
    expect(bad('training/nn/a.ts', "import { readFile } from 'node:fs/promises';")).to.not.include(null);
    expect(bad('server/a.ts', "import { grad } from '../training/grad/backward.ts';")).to.not.include(null);
    expect(bad('tasks/a/infer.ts', "import { net } from './net.ts';")).to.not.include(null);
    expect(bad('tasks/a/recipe.node.ts', "import { x } from './results/a.ts';")).to.not.include(null);
    expect(
      bad('tasks/a/contract.ts', "import { z } from 'zod';\nimport { side } from '../pictures.ts';"),
    ).to.deep.equal([null, null]);
    expect(bad('client/a.ts', "import { net } from '../tasks/a/net.ts';")).to.not.include(null);
    expect(bad('client/a.ts', "import { schema } from '../server/contract.ts';")).to.not.include(null);
    expect(bad('client/a.ts', "import type { Wire } from '../server/contract.ts';")).to.deep.equal([null]);
    expect(bad('training/step/a.ts', "// import '../apps/x.ts'\nimport '../grad/b.ts';")).to.deep.equal([null]);
  });
});
