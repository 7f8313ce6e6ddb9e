import { join } from 'node:path';
import type { Command } from 'commander';
import { FettleError } from '../../training/core/errors.ts';
import type { Weights } from '../../training/nn/scope.ts';
import type { OptimizerDef } from '../../training/optim/define.ts';
import type { ArtifactSet } from '../../training/step/ort-artifacts.ts';
import type { Task } from '../../training/step/train-step.ts';
import { parseWhole, report } from '../cli.ts';

interface ExportOptions {
  readonly arch?: string;
  readonly output?: string;
  readonly training?: string;
  readonly ortTraining?: string;
  readonly batch?: number;
  readonly size?: number;
  readonly opset?: number;
  readonly optimizer: string;
  readonly lr?: number;
  readonly wd: number;
  readonly seed: number;
  readonly store?: string;
}

function parseRate(option: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= 0 && value < Infinity))
      throw new FettleError('bad-argument', `${option}: expected a number of 0 or more, got ${text}`);
    return value;
  };
}

/** `fettle export`. */
export function register(program: Command): void {
  const command = program
    .command('export')
    .description('a model as files for other programs: for inference, or for training it there')
    .argument('[name[@v]]', 'a model of the store')
    .option('--arch <arch>', 'instead of a model: an architecture with random weights')
    .option('-o, --output <file>', 'the model for inference')
    .option('--training <dir>', 'the artifacts for training on any ONNX Runtime')
    .option('--ort-training <dir>', "the artifacts for ONNX Runtime's on-device training")
    .option('--batch <n>', 'items in a batch', parseWhole('--batch', 1, 4096))
    .option('--size <n>', 'side of the training pictures in pixels, or words in a row', parseWhole('--size', 1, 4096))
    .option('--opset <n>', 'version of the operators', parseWhole('--opset', 12, 21))
    .option('--optimizer <name>', 'adamw or sgd', 'adamw')
    .option('--lr <x>', "the learning rate, in the optimizer's graph", parseRate('--lr'))
    .option('--wd <x>', 'weight decay, of all parameters alike', parseRate('--wd'), 0)
    .option('--seed <n>', 'of random weights', parseWhole('--seed', 0, 2 ** 31), 1)
    .option('--store <dir>', 'where trained models are (FETTLE_STORE, else ./fettle-models)');
  command.action((name: string | undefined, options: ExportOptions) => run(command, name, options));
}

/** What is exported: how to train it from where, and how to write it for inference. */
interface Source {
  readonly title: string;
  readonly training: () => Promise<{ readonly task: Task; readonly weights: Weights }>;
  readonly inference: () => Promise<Uint8Array>;
}

async function run(command: Command, name: string | undefined, options: ExportOptions): Promise<void> {
  const { arch, output, training, ortTraining } = options;
  if ((name === undefined) === (arch === undefined))
    throw new FettleError('bad-argument', 'export: expected a model NAME[@V] or --arch ARCH, got both or neither');
  if (output === undefined && training === undefined && ortTraining === undefined)
    throw new FettleError('bad-argument', 'export: expected -o FILE, --training DIR or --ort-training DIR, got none');
  const source = name === undefined ? await architectureSource(arch!, options) : await storeSource(name, options);
  const written: string[] = [];
  if (output !== undefined) written.push(...(await writeFiles('.', { [output]: await source.inference() })));
  if (training !== undefined) written.push(...(await writeFiles(training, await plain(source, options))));
  if (ortTraining !== undefined) written.push(...(await writeFiles(ortTraining, await forOrt(source, options))));
  report(command, { source: source.title, files: written }, written.join('\n'));
}

async function writeFiles(folder: string, files: Readonly<Record<string, Uint8Array>>): Promise<string[]> {
  const [{ mkdir }, { writeDurably }] = await Promise.all([
    import('node:fs/promises'),
    import('../../training/learner/checkpoint.node.ts'),
  ]);
  await mkdir(folder, { recursive: true });
  const paths = Object.keys(files).map((name) => join(folder, name));
  for (const [i, bytes] of Object.values(files).entries()) await writeDurably(paths[i]!, bytes);
  return paths;
}

async function architectureSource(arch: string, { batch, size, seed }: ExportOptions): Promise<Source> {
  const [{ architectureOf }, { initialWeights }, { buildForward }] = await Promise.all([
    import('../architectures.ts'),
    import('../../training/nn/scope.ts'),
    import('../../training/step/train-step.ts'),
  ]);
  const one = architectureOf(arch);
  if (size !== undefined && one.size === undefined)
    throw new FettleError('bad-argument', `--size: expected none, ${arch} has one size only, got ${size}`);
  return {
    title: arch,
    training: async () => {
      const task = one.task(batch ?? one.batch, size ?? one.size ?? 0);
      return { task, weights: initialWeights(buildForward(task, true).scope.specs, seed) };
    },
    inference: () => {
      throw new FettleError('unsupported', `export: expected a trained model for -o, got the architecture ${arch}`);
    },
  };
}

async function storeSource(reference: string, { store: dir, batch, size = 96, opset }: ExportOptions): Promise<Source> {
  const [{ openStore }, { storeDirOf, zooDir }, app, { initializersOf }, { importWeights }, { buildForward }] =
    await Promise.all([
      import('../../server/store.ts'),
      import('../../server/paths.ts'),
      import('../../training/apps/restore.node.ts'),
      import('../../training/onnx/weights.ts'),
      import('../../training/nn/import.ts'),
      import('../../training/step/train-step.ts'),
    ]);
  const store = openStore({ zooDir, storeDir: storeDirOf(dir) });
  const version = await store.resolve(reference);
  const { name, version: number, task: kind } = version.config;
  const bytes = await store.read(version, 'model.onnx');
  const training: Source['training'] = async () => {
    if (kind !== 'restore')
      throw new FettleError('unsupported', `export: expected a model for restore to train, got one for ${kind}`);
    const config = app.restoreConfigOf(bytes);
    const task = app.restoreTask(config, 'mse', [batch ?? 8, size, size]);
    return { task, weights: importWeights(buildForward(task, true).scope.specs, initializersOf(bytes)) };
  };
  const inference = async (): Promise<Uint8Array> => {
    if (batch === undefined && opset === undefined) return bytes;
    const settings = { ...(batch === undefined ? {} : { batch }), ...(opset === undefined ? {} : { opset }) };
    return app.exportRestore(app.restoreConfigOf(bytes), (await training()).weights, settings).model;
  };
  return { title: `${name}@${number}`, training, inference };
}

async function optimizerOf({
  optimizer,
  wd,
}: ExportOptions): Promise<{ def: OptimizerDef; hyper: Record<string, number> }> {
  const { adamw, sgd } = await import('../../training/optim/optimizers.ts');
  if (optimizer === 'adamw') return { def: adamw, hyper: { wd } };
  if (optimizer === 'sgd') return { def: sgd, hyper: { wd, momentum: 0 } };
  throw new FettleError('bad-argument', `--optimizer: expected adamw or sgd, got ${optimizer}`);
}

const opsetOf = ({ opset }: ExportOptions): { readonly opset?: number } => (opset === undefined ? {} : { opset });

async function forOrt(source: Source, options: ExportOptions): Promise<ArtifactSet> {
  const { ortArtifacts } = await import('../../training/step/ort-artifacts.ts');
  const { task, weights } = await source.training();
  const { def: optimizer, hyper } = await optimizerOf(options);
  const rate = options.lr === undefined ? {} : { lr: options.lr };
  const properties = new Map([['source', source.title]]);
  return ortArtifacts(task, { weights, optimizer, hyper, properties, ...rate, ...opsetOf(options) });
}

async function plain(source: Source, options: ExportOptions): Promise<ArtifactSet> {
  const [{ trainingArtifacts }, { createState, setWeights }, { buildForward }] = await Promise.all([
    import('../../training/step/artifacts.ts'),
    import('../../training/step/state.ts'),
    import('../../training/step/train-step.ts'),
  ]);
  const { task, weights } = await source.training();
  const { def: optimizer, hyper } = await optimizerOf(options);
  const state = createState(buildForward(task, true).scope.specs, { optimizer });
  setWeights(state, weights);
  const rate = options.lr === undefined ? {} : { lr: options.lr };
  const properties = new Map([['source', source.title]]);
  return trainingArtifacts(task, { state, optimizer, hyper: { ...hyper, ...rate }, properties, ...opsetOf(options) });
}
