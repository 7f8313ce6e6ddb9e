import { readFile } from 'node:fs/promises';
import type { PlanFrom, Training, TrainOptions } from '../../../tasks/training.node.ts';
import { symDim } from '../../../training/core/shape.ts';
import { f32 } from '../../../training/core/tensor.ts';
import { type Batch, createLearner, type Loader } from '../../../training/learner/learner.ts';
import { linear } from '../../../training/nn/layers.ts';
import { mseLoss } from '../../../training/nn/losses.ts';
import type { Scope, Weights } from '../../../training/nn/scope.ts';
import { toOnnx } from '../../../training/onnx/export.ts';
import type { Value } from '../../../training/onnx/graph.ts';
import { initializersOf } from '../../../training/onnx/weights.ts';
import * as o from '../../../training/ops/build.ts';
import type { RunOptions } from '../../../training/runs/run-options.ts';
import { buildInference, type Task } from '../../../training/step/train-step.ts';
import type { BrightnessSpec } from './contract.ts';

interface Options extends TrainOptions {
  readonly heldOut: number;
}

/** A colour and how bright it is. */
interface Shade {
  readonly rgb: readonly number[];
  readonly brightness: number;
}

interface ColourData {
  readonly train: readonly Shade[];
  readonly valid: readonly Shade[];
}

interface BrightnessConfig {
  readonly epochs: number;
  readonly batchSize: number;
  readonly lr: number;
}

type Run = Pick<RunOptions<BrightnessConfig, ColourData>, 'config' | 'data' | 'start'>;

interface Result {
  readonly weights: Weights;
  readonly loss: number;
}

/** image f32[N,3,H,W] -> brightness f32[N,1]: of the mean colour. */
const net = (scope: Scope, image: Value): Value =>
  scope.in('mix', (s) => linear(s, o.reduceMean(image, { axes: [2, 3], keepdims: false }), 1));

/** Pictures of one pixel each. */
const picturesOf = (shades: readonly Shade[]) =>
  f32(
    [shades.length, 3, 1, 1],
    shades.flatMap(({ rgb }) => rgb),
  );

function loaderOf(shades: readonly Shade[], batchSize: number): Loader {
  const batches = Array.from({ length: Math.ceil(shades.length / batchSize) }, (_, i): Batch => {
    const part = shades.slice(i * batchSize, (i + 1) * batchSize);
    return {
      x: picturesOf(part),
      y: f32(
        [part.length, 1],
        part.map(({ brightness }) => brightness),
      ),
    };
  });
  return {
    batchesPerEpoch: batches.length,
    async *epoch(_, { fromBatch = 0 } = {}) {
      yield* batches.slice(fromBatch);
    },
  };
}

async function plan({ data, heldOut, ...options }: Options, { origin }: PlanFrom): Promise<Run> {
  const lines = (await readFile(data, 'utf8')).trim().split('\n');
  const shades = lines.map((line): Shade => {
    const numbers = line.split(',').map(Number);
    return { rgb: numbers.slice(0, 3), brightness: numbers[3]! };
  });
  const { epochs = 20, batch: batchSize = 4, lr = 0.1 } = options;
  const start = origin && { start: initializersOf(origin.bytes) };
  return {
    config: { epochs, batchSize, lr },
    data: { train: shades.slice(0, -heldOut), valid: shades.slice(-heldOut) },
    ...start,
  };
}

async function openLearner({
  config,
  data,
  start,
  open,
}: Run & Pick<RunOptions<BrightnessConfig, ColourData>, 'open'>) {
  const learner = await createLearner({
    name: 'brightness',
    model: net,
    loss: mseLoss,
    data: { train: loaderOf(data.train, config.batchSize), valid: loaderOf(data.valid, config.batchSize) },
    open,
  });
  if (start !== undefined) learner.load(start);
  return { learner, close: () => learner.close() };
}

export const spec: BrightnessSpec = { inputName: 'image', outputName: 'brightness', side: 8 };

export function exportNet(weights: Weights, batch = 1): Uint8Array {
  const shape = [batch, 3, symDim('H'), symDim('W')];
  const inputs = [{ name: 'image', dtype: 'float32', shape }] as const;
  return toOnnx(
    buildInference('brightness', inputs, weights, (scope, { image }) => ({ brightness: net(scope, image!) })),
  );
}

const taskOf = (batch: number, [height, width]: readonly number[]): Task => ({
  name: 'brightness',
  inputs: [
    { name: 'x', dtype: 'float32', shape: [batch, 3, height!, width!] },
    { name: 'y', dtype: 'float32', shape: [batch, 1] },
  ],
  forward: (scope, { x, y }) => {
    const brightness = net(scope, x!);
    return { loss: mseLoss(brightness, y!), outputs: { brightness } };
  },
});

export const brightnessTraining: Training<Options, Run, Result, BrightnessSpec, number> = {
  plan,
  openLearner,
  run: async ({ callbacks = [], ...options }) => {
    const { learner, close } = await openLearner(options);
    try {
      await learner.fitOneCycle(options.config.epochs, options.config.lr, { callbacks });
      const { valid_loss: loss } = await learner.validate();
      return { weights: new Map([...learner.weights].map(([name, values]) => [name, values.slice()])), loss: loss! };
    } finally {
      await close();
    }
  },
  describe: ({ epoch, trainLoss }) => `epoch ${epoch}: ${trainLoss.toFixed(4)}`,
  export: ({ weights }) => ({ model: exportNet(weights), spec }),
  score: async ({ model }, { data: { valid }, open }) => {
    const session = await open(model);
    let sum = 0;
    for (const shade of valid) {
      const { brightness } = await session.run({ image: picturesOf([shade]) });
      sum += (Number(brightness!.data[0]) - shade.brightness) ** 2;
    }
    await session.release();
    return sum / valid.length;
  },
  summarise: ({ loss }) => ({ data: { loss }, text: `loss ${loss.toFixed(4)}` }),
  compare: (_, { data }, { after, before, serving }) => ({
    description: `on ${data.train.length} colours`,
    metrics: { heldOutLoss: after! },
    notes: [],
    worse: serving !== undefined && after! > serving,
    data: { before, after },
    text: `loss ${after!.toFixed(4)}`,
  }),
  card: ({ name, command }) => `# ${name}\n\n\`${command}\`\n`,
  reopen: (model) => ({
    batch: 4,
    sizes: { usual: [8, 8] },
    weights: initializersOf(model),
    task: taskOf,
    write: (weights, { batch }) => exportNet(weights, batch),
  }),
};
