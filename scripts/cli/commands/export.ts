import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { Reopened, TrainedTask } from '../../../tasks/training.node.ts';
import { ensure, FettleError } from '../../../training/core/errors.ts';
import type { ArtifactSet } from '../../../training/export/ort-artifacts.ts';
import type { Weights } from '../../../training/nn/scope.ts';
import type { OptimizerDef } from '../../../training/optim/define.ts';
import type { Task } from '../../../training/step/train-step.ts';
import { note, report, withOptions } from '../cli.ts';
import { choice, option, sides, storeOption, whole, zeroOrMore } from '../options.ts';
import { openStores } from '../stores.ts';

interface ExportOptions {
  readonly arch?: string;
  readonly output?: string;
  readonly training?: string;
  readonly ortTraining?: string;
  readonly batch?: number;
  readonly size?: readonly number[];
  readonly opset?: number;
  readonly optimizer: 'adamw' | 'sgd';
  readonly lr?: number;
  readonly wd: number;
  readonly seed: number;
  readonly store?: string;
}

/** `fettle export`. */
export function register(program: Command, tasks: readonly TrainedTask[]): void {
  const command = program
    .command('export')
    .description('a model as files for other programs: for inference, or for training it there')
    .argument('[name[@v]]', 'a model of the store');
  withOptions(
    command,
    option('--arch <arch>', 'instead of a model: an architecture with random weights'),
    option('-o, --output <file>', 'the model for inference'),
    option('--training <dir>', 'the artifacts for training on any ONNX Runtime'),
    option('--ort-training <dir>', "the artifacts for ONNX Runtime's on-device training"),
    option('--batch <n>', 'items in a batch', whole(1, 4096)),
    option('--size <n|HxW>', 'of the training pictures in pixels, or words in a row', sides),
    option('--opset <n>', 'version of the operators, 18 to 21; with -o alone from 12', whole(12, 21)),
    choice('--optimizer <name>', 'the optimizer of the artifacts', ['adamw', 'sgd'], 'adamw'),
    option('--lr <x>', "the learning rate, in the optimizer's graph", zeroOrMore),
    option('--wd <x>', 'weight decay, of all parameters alike', zeroOrMore, 0),
    option('--seed <n>', 'of random weights', whole(0, 2 ** 31), 1),
    storeOption(),
  ).action((name: string | undefined, options: ExportOptions) => run(command, name, options, tasks));
}

/** What is exported: how to train it from where, and how to write it for inference. */
interface Source {
  readonly title: string;
  readonly training: () => Promise<{ readonly task: Task; readonly weights: Weights }>;
  readonly inference: () => Promise<Uint8Array>;
}

/** Throws `bad-argument` where the options do not state what to write, or state two things. */
function checkOptions(name: string | undefined, { arch, output, training, ortTraining, opset }: ExportOptions): void {
  ensure((name === undefined) !== (arch === undefined), 'bad-argument', () => {
    return 'export: expected a model NAME[@V] or --arch ARCH, got both or neither';
  });
  ensure(output !== undefined || training !== undefined || ortTraining !== undefined, 'bad-argument', () => {
    return 'export: expected -o FILE, --training DIR or --ort-training DIR, got none';
  });
  const same = training !== undefined && ortTraining !== undefined && resolve(training) === resolve(ortTraining);
  ensure(!same, 'bad-argument', () => {
    return `export: expected a folder each for --training and --ort-training, got ${training} for both; their files have the same names`;
  });
  const trains = training !== undefined || ortTraining !== undefined;
  ensure(!trains || opset === undefined || opset >= 18, 'bad-argument', () => {
    return `--opset: expected 18..21 for training, got ${opset}`;
  });
}

/** Files to write, by the path that is reported. */
type Files = readonly (readonly [path: string, bytes: Uint8Array])[];

async function run(
  command: Command,
  name: string | undefined,
  options: ExportOptions,
  tasks: readonly TrainedTask[],
): Promise<void> {
  checkOptions(name, options);
  const { output, training, ortTraining } = options;
  if (output !== undefined) await checkFile(output);
  for (const folder of [training, ortTraining]) if (folder !== undefined) await checkFolder(folder);
  const source =
    name === undefined ? await architectureSource(options.arch!, options) : await storeSource(name, options, tasks);
  const inside = (folder: string, set: ArtifactSet): Files =>
    Object.entries(set).map(([file, bytes]) => [join(folder, file), bytes]);
  // Nothing is written before all of it is there.
  const files: Files = [
    ...(output === undefined ? [] : [[output, await source.inference()] as const]),
    ...(training === undefined ? [] : inside(training, await plain(source, options))),
    ...(ortTraining === undefined ? [] : inside(ortTraining, await forOrt(source, options))),
  ];
  const replaced = await writeFiles(files);
  const paths = files.map(([path]) => path);
  report(command, { source: source.title, files: paths, replaced }, paths.join('\n'));
}

/** What is at a path. */
async function kindOf(path: string): Promise<'folder' | 'file' | undefined> {
  const { stat } = await import('node:fs/promises');
  const found = await stat(resolve(path)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  return found && (found.isDirectory() ? 'folder' : 'file');
}

/** Throws `bad-argument` unless a file can be written at `path`. */
async function checkFile(path: string): Promise<void> {
  const [own, around] = [await kindOf(path), await kindOf(dirname(resolve(path)))];
  ensure(own !== 'folder', 'bad-argument', () => `-o: expected a file, got the folder ${path}; name a file in it`);
  ensure(around === 'folder', 'bad-argument', () => {
    return `-o: expected a file in a folder that there is, got ${path}; make the folder ${dirname(resolve(path))}`;
  });
}

/** Throws `bad-argument` unless a folder is at `path` or can be made there. */
async function checkFolder(path: string): Promise<void> {
  let at = resolve(path);
  while ((await kindOf(at)) === undefined && at !== dirname(at)) at = dirname(at);
  const kind = await kindOf(at);
  ensure(
    kind === 'folder',
    'bad-argument',
    () => `export: expected a folder, got the file ${at}; name another for ${path}`,
  );
}

/** Writes all files, folders around them too, and returns the paths of those that existed before, which are reported on stderr. */
async function writeFiles(files: Files): Promise<string[]> {
  const [{ mkdir }, { writeDurably }] = await Promise.all([
    import('node:fs/promises'),
    import('../../../training/core/durable.node.ts'),
  ]);
  const twice = files.find(([path], i) => files.findIndex(([other]) => resolve(other) === resolve(path)) < i);
  ensure(
    twice === undefined,
    'bad-argument',
    () => `export: expected files of different names, got ${twice?.[0]} twice`,
  );
  const replaced: string[] = [];
  for (const [path] of files) if ((await kindOf(path)) !== undefined) replaced.push(path);
  for (const path of replaced) note(`replaces ${path}`);
  for (const [path, bytes] of files) {
    await mkdir(dirname(resolve(path)), { recursive: true });
    await writeDurably(resolve(path), bytes);
  }
  return replaced;
}

async function architectureSource(arch: string, { batch, size, seed }: ExportOptions): Promise<Source> {
  const [{ architectureOf, sidesOf }, { initialWeights }, { buildForward }] = await Promise.all([
    import('../architectures.ts'),
    import('../../../training/nn/scope.ts'),
    import('../../../training/step/train-step.ts'),
  ]);
  const one = architectureOf(arch);
  const lengths = sidesOf(one, size);
  return {
    title: arch,
    training: async () => {
      const task = one.task(batch ?? one.batch, lengths);
      return { task, weights: initialWeights(buildForward(task, true).scope.specs, seed) };
    },
    inference: () => {
      throw new FettleError('unsupported', `export: expected a trained model for -o, got the architecture ${arch}`);
    },
  };
}

async function storeSource(
  reference: string,
  { store: dir, batch, size, opset }: ExportOptions,
  tasks: readonly TrainedTask[],
): Promise<Source> {
  const [{ sidesOf }, { importWeights }, { buildForward }] = await Promise.all([
    import('../architectures.ts'),
    import('../../../training/nn/import.ts'),
    import('../../../training/step/train-step.ts'),
  ]);
  const store = await openStores(dir, tasks);
  const version = await store.resolve(reference);
  const { name, version: number, task: kind } = version.config;
  const bytes = await store.read(version, 'model.onnx');
  const reopened = async (): Promise<Reopened> => {
    const { reopen } = (await tasks.find((task) => task.name === kind)?.load()) ?? {};
    ensure(reopen, 'unsupported', () => {
      return `export: expected a model that can be trained further, got ${name}@${number} of the task ${kind}; -o alone writes it as it is`;
    });
    return reopen(bytes);
  };
  const training: Source['training'] = async () => {
    const parts = await reopened();
    const task = parts.task(batch ?? parts.batch, sidesOf({ name, sizes: parts.sizes }, size));
    return { task, weights: importWeights(buildForward(task, true).scope.specs, parts.weights) };
  };
  const inference = async (): Promise<Uint8Array> => {
    if (batch === undefined && opset === undefined) return bytes;
    const settings = { ...(batch === undefined ? {} : { batch }), ...(opset === undefined ? {} : { opset }) };
    return (await reopened()).write((await training()).weights, settings);
  };
  return { title: `${name}@${number}`, training, inference };
}

async function optimizerOf({
  optimizer,
  wd,
}: ExportOptions): Promise<{ def: OptimizerDef; hyper: Record<string, number> }> {
  const { adamw, sgd } = await import('../../../training/optim/optimizers.ts');
  return optimizer === 'sgd' ? { def: sgd, hyper: { wd, momentum: 0 } } : { def: adamw, hyper: { wd } };
}

const opsetOf = ({ opset }: ExportOptions): { readonly opset?: number } => (opset === undefined ? {} : { opset });

async function forOrt(source: Source, options: ExportOptions): Promise<ArtifactSet> {
  const { ortArtifacts } = await import('../../../training/export/ort-artifacts.ts');
  const { task, weights } = await source.training();
  const { def: optimizer, hyper } = await optimizerOf(options);
  const rate = options.lr === undefined ? {} : { lr: options.lr };
  const properties = new Map([['source', source.title]]);
  return ortArtifacts(task, { weights, optimizer, hyper, properties, ...rate, ...opsetOf(options) });
}

async function plain(source: Source, options: ExportOptions): Promise<ArtifactSet> {
  const [{ trainingArtifacts }, { createState, setWeights }, { buildForward }] = await Promise.all([
    import('../../../training/export/artifacts.ts'),
    import('../../../training/step/state.ts'),
    import('../../../training/step/train-step.ts'),
  ]);
  const { task, weights } = await source.training();
  const { def: optimizer, hyper } = await optimizerOf(options);
  const state = createState(buildForward(task, true).scope.specs, { optimizer });
  setWeights(state, weights);
  const rate = options.lr === undefined ? {} : { lr: options.lr };
  const properties = new Map([['source', source.title]]);
  return trainingArtifacts(task, { state, optimizer, hyper: { ...hyper, ...rate }, properties, ...opsetOf(options) });
}
