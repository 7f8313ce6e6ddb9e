import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { rootDir } from '../../scripts/repo/source-files.ts';
import { messageOf } from '../../training/core/errors.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import type { ArtifactSet } from '../../training/export/ort-artifacts.ts';
import type { Tensors } from '../../training/run/session.ts';
import type { Created, Reply, Request } from './ort-training.ts';

/*
 * ONNX Runtime's own training, as onnxruntime-web 1.19.2 last shipped it, behind the messages of ort-training.ts. Its package hides the
 * file from Node, so it is imported by path, and typed here as far as we use it.
 */

interface OrtTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: Tensor['data'];
}
type OrtTensors = Readonly<Record<string, OrtTensor>>;
interface OrtSession {
  readonly trainingInputNames: readonly string[];
  readonly trainingOutputNames: readonly string[];
  readonly evalInputNames: readonly string[];
  readonly evalOutputNames: readonly string[];
  lazyResetGrad(): Promise<void>;
  runTrainStep(feeds: OrtTensors): Promise<OrtTensors>;
  runEvalStep(feeds: OrtTensors): Promise<OrtTensors>;
  runOptimizerStep(): Promise<void>;
  getContiguousParameters(trainableOnly: boolean): Promise<OrtTensor>;
}
interface OrtTraining {
  readonly Tensor: new (type: string, data: Tensor['data'], dims: readonly number[]) => OrtTensor;
  readonly TrainingSession: { create(files: object, options: object): Promise<OrtSession> };
  readonly env: { readonly wasm: { numThreads: number }; logLevel: string };
}

const file = join(rootDir, 'node_modules/ort-training/dist/ort.training.wasm.min.mjs');
const ort = (await import(pathToFileURL(file).href)) as OrtTraining;
ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'fatal';
let session: OrtSession;

async function create(artifacts: ArtifactSet): Promise<Created> {
  session = await ort.TrainingSession.create(
    {
      checkpointState: artifacts.checkpoint,
      trainModel: artifacts['training_model.onnx'],
      evalModel: artifacts['eval_model.onnx'],
      optimizerModel: artifacts['optimizer_model.onnx'],
    },
    { logSeverityLevel: 4 },
  );
  const { trainingInputNames, trainingOutputNames, evalInputNames, evalOutputNames } = session;
  return { trainingInputNames, trainingOutputNames, evalInputNames, evalOutputNames };
}

/** In the order of `names`: feeds go by the order of the object's keys, not by name. */
function feedsOf(names: readonly string[], batch: Tensors): OrtTensors {
  return Object.fromEntries(
    names.map((name) => {
      const { dtype, data, dims } = batch[name]!;
      return [name, new ort.Tensor(dtype, data, dims)];
    }),
  );
}

const plain = (results: OrtTensors): Tensors =>
  Object.fromEntries(
    Object.entries(results).map(([name, { type, dims, data }]) => [name, { dtype: type, dims, data } as Tensor]),
  );

async function answer(request: Request): Promise<unknown> {
  switch (request.kind) {
    case 'create':
      return create(request.artifacts);
    case 'train':
      return plain(await session.runTrainStep(feedsOf(session.trainingInputNames, request.batch)));
    case 'evaluate':
      return plain(await session.runEvalStep(feedsOf(session.evalInputNames, request.batch)));
    case 'update':
      await session.runOptimizerStep();
      return session.lazyResetGrad();
    case 'parameters':
      return (await session.getContiguousParameters(request.trainedOnly)).data;
  }
}

process.on('message', async (request: Request) => {
  const reply: Reply = await answer(request).then(
    (value) => ({ value }),
    // It throws the address of a C++ exception where it has no text.
    (error: unknown) => ({ error: messageOf(error) }),
  );
  process.send!(reply);
});
