import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { rootDir } from '../../scripts/source-files.ts';
import { sizeOf, type Tensor } from '../../training/core/tensor.ts';
import type { Tensors } from '../../training/run/session.ts';
import type { ArtifactSet } from '../../training/step/ort-artifacts.ts';

/*
 * ONNX Runtime's own training, as onnxruntime-web 1.19.2 last shipped it. Its package hides the file from Node, so it is imported by path, and
 * typed here as far as we use it.
 */

interface OrtTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: Tensor['data'];
}
interface OrtTrainingSession {
  readonly trainingInputNames: readonly string[];
  readonly trainingOutputNames: readonly string[];
  readonly evalInputNames: readonly string[];
  readonly evalOutputNames: readonly string[];
  lazyResetGrad(): Promise<void>;
  runTrainStep(feeds: Readonly<Record<string, OrtTensor>>): Promise<Readonly<Record<string, OrtTensor>>>;
  runEvalStep(feeds: Readonly<Record<string, OrtTensor>>): Promise<Readonly<Record<string, OrtTensor>>>;
  runOptimizerStep(): Promise<void>;
  getContiguousParameters(trainableOnly: boolean): Promise<OrtTensor>;
  release(): Promise<void>;
}
interface OrtTraining {
  readonly Tensor: new (type: string, data: Tensor['data'], dims: readonly number[]) => OrtTensor;
  readonly TrainingSession: {
    create(files: Readonly<Record<string, Uint8Array>>, options?: object): Promise<OrtTrainingSession>;
  };
  readonly env: { readonly wasm: { numThreads: number }; logLevel: string };
}

let loaded: Promise<OrtTraining> | undefined;
const load = (): Promise<OrtTraining> => {
  const file = join(rootDir, 'node_modules/ort-training/dist/ort.training.wasm.min.mjs');
  loaded ??= (import(pathToFileURL(file).href) as Promise<OrtTraining>).then((ort) => {
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = 'fatal';
    return ort;
  });
  return loaded;
};

/** A session of ONNX Runtime's training over our artifacts. */
export interface OrtTrainer {
  readonly session: OrtTrainingSession;
  /** Forward and backward; gradients add up until an update. Returns all outputs. */
  train(batch: Tensors): Promise<Tensors>;
  /** One update, after which gradients begin anew. */
  update(): Promise<void>;
  evaluate(batch: Tensors): Promise<Tensors>;
  /** Values of the parameters in the training graph's order, one after the other. */
  parameters(trainedOnly: boolean): Promise<Float32Array>;
  release(): Promise<void>;
}

export async function ortTrainer(artifacts: ArtifactSet): Promise<OrtTrainer> {
  const ort = await load();
  const session = await ort.TrainingSession.create(
    {
      checkpointState: artifacts.checkpoint,
      trainModel: artifacts['training_model.onnx'],
      evalModel: artifacts['eval_model.onnx'],
      optimizerModel: artifacts['optimizer_model.onnx'],
    },
    { logSeverityLevel: 4 },
  );
  // Feeds go by the order of the object's keys, not by name.
  const feedsOf = (names: readonly string[], batch: Tensors): Record<string, OrtTensor> =>
    Object.fromEntries(
      names.map((name) => {
        const { dtype, data, dims } = batch[name]!;
        return [name, new ort.Tensor(dtype, data, dims)];
      }),
    );
  const copied = (results: Readonly<Record<string, OrtTensor>>): Tensors =>
    Object.fromEntries(
      Object.entries(results).map(([name, { type, dims, data }]) => [
        name,
        { dtype: type, dims, data: data.slice() } as unknown as Tensor,
      ]),
    );
  return {
    session,
    train: async (batch) => copied(await session.runTrainStep(feedsOf(session.trainingInputNames, batch))),
    async update() {
      await session.runOptimizerStep();
      await session.lazyResetGrad();
    },
    evaluate: async (batch) => copied(await session.runEvalStep(feedsOf(session.evalInputNames, batch))),
    async parameters(trainedOnly) {
      const { data, dims } = await session.getContiguousParameters(trainedOnly);
      return (data as Float32Array).slice(0, sizeOf(dims));
    },
    release: () => session.release(),
  };
}
