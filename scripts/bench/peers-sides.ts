import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as Ort from 'onnxruntime-web';
import type { Tensor } from '../../training/core/tensor.ts';
import { type ArtifactSet, artifactNames, ortArtifacts } from '../../training/export/ort-artifacts.ts';
import { compileOptimizer, compileStep, type OpenGraph } from '../../training/loop/compile.ts';
import { initialWeights } from '../../training/nn/scope.ts';
import { adam } from '../../training/optim/optimizers.ts';
import type { Session, Tensors } from '../../training/run/session.ts';
import { createState, initState } from '../../training/step/state.ts';
import { buildForward } from '../../training/step/train-step.ts';
import { rootDir } from '../repo/source-files.ts';
import { type PeerRow, peerHyper } from './peers-rows.ts';

/** A net in training somewhere; every side begins with the same weights. */
export interface Trainer {
  /** Versions and the like. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** Numbers that it trains. */
  readonly parameters: number;
  /** One step on the row's batch; the loss before the update. */
  step(): Promise<number>;
}

const versionOf = (name: string): string =>
  (JSON.parse(readFileSync(join(rootDir, 'node_modules', name, 'package.json'), 'utf8')) as { version: string })
    .version;

async function openOurs(
  { task, batch, isTrained }: PeerRow,
  open: OpenGraph,
  facts: Trainer['facts'],
): Promise<Trainer> {
  const step = await compileStep(task, open, isTrained);
  const state = createState(step.graphs.specs, { optimizer: adam });
  initState(state, 1);
  const optimizer = await compileOptimizer(adam, state, open);
  return {
    facts,
    parameters: step.graphs.trained.reduce((sum, name) => sum + state.tensors.get(name)!.data.length, 0),
    async step() {
      const loss = await step.gradients(state, batch);
      await optimizer.update(state, peerHyper);
      return loss;
    },
  };
}

/** fettle on onnxruntime-node. */
export async function openOnNode(row: PeerRow, threads: number): Promise<Trainer> {
  const { openSession } = await import('../../training/run/ort.node.ts');
  return openOurs(row, (model) => openSession(model, { threads }), {
    'onnxruntime-node': versionOf('onnxruntime-node'),
    threads,
  });
}

/** fettle's same graphs on onnxruntime-web's WebAssembly, by the package's own entry for Node, which has threads there. */
export async function openOnWasm(row: PeerRow, threads: number): Promise<Trainer> {
  const ort: typeof Ort = await import('onnxruntime-web');
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = 'fatal';
  return openOurs(row, (model) => openWasm(ort, model), { 'onnxruntime-web': versionOf('onnxruntime-web'), threads });
}

async function openWasm(ort: typeof Ort, model: Uint8Array): Promise<Session> {
  const session = await ort.InferenceSession.create(model, { graphOptimizationLevel: 'all' });
  const { inputNames, outputNames } = session;
  return {
    device: 'wasm',
    inputNames,
    outputNames,
    async run(feeds, fetches) {
      const wrapped = inputNames.map((name) => {
        const { dtype, data, dims } = feeds[name]!;
        return [name, new ort.Tensor(dtype, data as never, dims)] as const;
      });
      const results = await session.run(Object.fromEntries(wrapped));
      if (fetches === undefined) return results as unknown as Tensors;
      for (const name of outputNames) (fetches[name]!.data as Float32Array).set(results[name]!.data as Float32Array);
      return fetches;
    },
    release: () => session.release(),
  };
}

/** The files that ONNX Runtime's own training needs, with the weights that the others begin with. */
export function artifactsOf({ task, isTrained }: PeerRow): ArtifactSet {
  const weights = initialWeights(buildForward(task, true).scope.specs, 1);
  const { lr, ...hyper } = peerHyper;
  return ortArtifacts(task, { weights, hyper, lr, ...(isTrained === undefined ? {} : { isTrained }) });
}

interface OrtTensor {
  readonly data: Tensor['data'];
}
interface OrtTrainingSession {
  readonly trainingInputNames: readonly string[];
  getParametersSize(trainableOnly: boolean): Promise<number>;
  lazyResetGrad(): Promise<void>;
  runTrainStep(feeds: Readonly<Record<string, OrtTensor>>): Promise<Readonly<Record<string, OrtTensor>>>;
  runOptimizerStep(): Promise<void>;
}
interface OrtTraining {
  readonly Tensor: new (type: string, data: Tensor['data'], dims: readonly number[]) => OrtTensor;
  readonly TrainingSession: { create(files: object, options: object): Promise<OrtTrainingSession> };
  readonly env: { readonly wasm: { numThreads: number; wasmPaths: string }; logLevel: string };
}

/**
 * The training build hides itself from Node, so it is imported by path. It starts threads only where its files have the page's origin, which that
 * of a file, `null`, is made here.
 */
async function loadOrtTraining(threads: number): Promise<OrtTraining> {
  const folder = `${pathToFileURL(join(rootDir, 'node_modules/ort-training/dist')).href}/`;
  Object.defineProperty(globalThis, 'location', { value: { origin: 'null' } });
  const ort = (await import(`${folder}ort.training.wasm.min.mjs`)) as OrtTraining;
  ort.env.wasm.wasmPaths = folder;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = 'fatal';
  return ort;
}

/** ONNX Runtime's `TrainingSession` on the artifacts in `folder`. */
export async function openOrtTraining(
  { batch }: PeerRow,
  { folder, threads }: { readonly folder: string; readonly threads: number },
): Promise<Trainer> {
  const ort = await loadOrtTraining(threads);
  const [trainModel, evalModel, optimizerModel, checkpointState] = artifactNames.map((name) =>
    readFileSync(join(folder, name)),
  );
  const session = await ort.TrainingSession.create(
    { trainModel, evalModel, optimizerModel, checkpointState },
    { logSeverityLevel: 4 },
  );
  // Feeds go by the order of the object's keys, not by name.
  const feeds = Object.fromEntries(
    session.trainingInputNames.map((name) => {
      const { dtype, data, dims } = batch[name]!;
      return [name, new ort.Tensor(dtype, data, dims)] as const;
    }),
  );
  return {
    facts: { 'onnxruntime-web (training)': versionOf('ort-training'), threads },
    parameters: await session.getParametersSize(true),
    async step() {
      const { loss } = await session.runTrainStep(feeds);
      await session.runOptimizerStep();
      await session.lazyResetGrad();
      return Number(loss!.data[0]);
    },
  };
}
