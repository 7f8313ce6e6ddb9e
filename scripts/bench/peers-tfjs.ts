import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { sizeOf, type Tensor } from '../../training/core/tensor.ts';
import { initialWeights } from '../../training/nn/scope.ts';
import { buildForward } from '../../training/step/train-step.ts';
import { type PeerRow, peerHyper } from './peers-rows.ts';
import type { Trainer } from './peers-sides.ts';

/*
 * TensorFlow.js as a peer. It is no dependency: it is loaded from a folder of the user's, and typed here as far as we use it. The nets are
 * written in its operators, as torch_step.py has them in PyTorch's, and start from our weights.
 */

const packages = ['core', 'layers', 'backend-cpu', 'backend-wasm'].map((name) => `@tensorflow/tfjs-${name}`);
const tfjsVersion = '4.22.0';

/** The command that fills `folder`. */
export const tfjsInstall = (folder: string): string =>
  `npm install --prefix ${folder} ${packages.map((name) => `${name}@${tfjsVersion}`).join(' ')}`;

/** Throws, with the command, unless TensorFlow.js is in `folder`. */
export function checkTfjs(folder: string): void {
  const missing = packages.filter((name) => !existsSync(join(folder, 'node_modules', name, 'package.json')));
  if (missing.length > 0)
    throw new Error(`--tfjs: expected ${missing.join(', ')} in ${folder}, got none; run ${tfjsInstall(folder)}`);
}

interface TfTensor {
  readonly shape: readonly number[];
  data(): Promise<Float32Array | Int32Array>;
  dispose(): void;
}
interface TfVariable extends TfTensor {
  assign(value: TfTensor): void;
}
interface TfCore {
  readonly version_core: string;
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  tensor(data: Tensor['data'], dims: readonly number[], dtype: string): TfTensor;
  variable(start: TfTensor, trainable: boolean): TfVariable;
  add(a: TfTensor, b: TfTensor): TfTensor;
  mul(a: TfTensor, b: TfTensor | number): TfTensor;
  relu(x: TfTensor): TfTensor;
  matMul(a: TfTensor, b: TfTensor): TfTensor;
  reshape(x: TfTensor, dims: readonly number[]): TfTensor;
  transpose(x: TfTensor, order: readonly number[]): TfTensor;
  oneHot(classes: TfTensor, depth: number): TfTensor;
  moments(x: TfTensor, axes: readonly number[]): { readonly mean: TfTensor; readonly variance: TfTensor };
  batchNorm(
    x: TfTensor,
    mean: TfTensor,
    variance: TfTensor,
    shift: TfTensor,
    scale: TfTensor,
    epsilon: number,
  ): TfTensor;
  conv2d(
    x: TfTensor,
    filter: TfTensor,
    stride: number,
    padding: number,
    format: 'NHWC',
    dilation: 1,
    rounding: 'floor',
  ): TfTensor;
  readonly losses: { softmaxCrossEntropy(target: TfTensor, scores: TfTensor): TfTensor };
  readonly train: { adam(lr: number, beta1: number, beta2: number, epsilon: number): TfOptimizer };
}
interface TfOptimizer {
  computeGradients(f: () => TfTensor): {
    readonly value: TfTensor;
    readonly grads: Readonly<Record<string, TfTensor>>;
  };
  minimize(f: () => TfTensor, cost: true): TfTensor;
}
interface TfLayers {
  readonly layers: {
    lstm(options: object): {
      setWeights(weights: readonly TfTensor[]): void;
      apply(x: TfTensor): TfTensor;
      countParams(): number;
    };
  };
}
interface TfWasm {
  setThreadsCount(count: number): void;
  getThreadsCount(): number;
}

/** The tensors of a net in TensorFlow.js's layouts, by our names. */
class Parameters {
  readonly #tf: TfCore;
  readonly #raw: ReadonlyMap<string, TfTensor>;
  readonly #variables = new Map<string, TfVariable>();

  constructor(tf: TfCore, { task }: PeerRow) {
    const { specs } = buildForward(task, true).scope;
    const weights = initialWeights(specs, 1);
    this.#tf = tf;
    this.#raw = new Map(specs.map(({ name, shape }) => [name, tf.tensor(weights.get(name)!, shape, 'float32')]));
  }

  has(name: string): boolean {
    return this.#raw.has(name);
  }

  /** Our tensor, copied: filters OIHW as HWIO, matrices [out,in] as [in,out]. */
  start(name: string): TfTensor {
    const raw = this.#raw.get(name)!;
    const orders: Readonly<Record<number, readonly number[]>> = { 2: [1, 0], 4: [2, 3, 1, 0] };
    const order = orders[raw.shape.length];
    return order === undefined ? raw : this.#tf.transpose(raw, order);
  }

  get(name: string, trainable = true): TfVariable {
    const variable = this.#variables.get(name) ?? this.#tf.variable(this.start(name), trainable);
    this.#variables.set(name, variable);
    return variable;
  }

  get trainedCount(): number {
    const trained = [...this.#variables].filter(([name]) => !name.includes('running_'));
    return trained.reduce((sum, [, { shape }]) => sum + sizeOf(shape), 0);
  }
}

/** A net's scores, and how many numbers it trains beside those of `Parameters`. */
interface TfNet {
  readonly forward: (x: TfTensor) => TfTensor;
  readonly more?: number;
}
type TfNetOf = (tf: TfCore, layers: TfLayers, p: Parameters, x: TfTensor) => TfNet;

function linear(tf: TfCore, p: Parameters, x: TfTensor, name: string): TfTensor {
  return tf.add(tf.matMul(x, p.get(`${name}.weight`)), p.get(`${name}.bias`));
}

/** 3 x 3, padding 1. */
function conv(tf: TfCore, p: Parameters, x: TfTensor, name: string, stride: number): TfTensor {
  const y = tf.conv2d(x, p.get(`${name}.weight`), stride, 1, 'NHWC', 1, 'floor');
  return p.has(`${name}.bias`) ? tf.add(y, p.get(`${name}.bias`)) : y;
}

/** Batch norm in training, with running statistics as PyTorch keeps them. */
function norm(tf: TfCore, p: Parameters, x: TfTensor, name: string): TfTensor {
  const { mean, variance } = tf.moments(x, [0, 1, 2]);
  const count = sizeOf(x.shape.slice(0, 3));
  const keep = (buffer: string, value: TfTensor, factor: number): void => {
    const running = p.get(`${name}.${buffer}`, false);
    running.assign(tf.add(tf.mul(running, 0.9), tf.mul(value, 0.1 * factor)));
  };
  keep('running_mean', mean, 1);
  keep('running_var', variance, count / (count - 1));
  return tf.batchNorm(x, mean, variance, p.get(`${name}.bias`), p.get(`${name}.weight`), 1e-5);
}

const mnistBasic: TfNetOf = (tf, _, p) => ({
  forward: (x) => {
    let h = x;
    for (let i = 1; i <= 5; i++) {
      h = norm(tf, p, conv(tf, p, h, `conv${i}`, 2), `bn${i}`);
      if (i < 5) h = tf.relu(h);
    }
    return tf.reshape(h, [-1, 10]);
  },
});

const mnistResnet: TfNetOf = (tf, _, p) => {
  const layer = (h: TfTensor, name: string, stride: number): TfTensor =>
    norm(tf, p, tf.relu(conv(tf, p, h, `${name}.conv`, stride)), `${name}.bn`);
  return {
    forward: (x) => {
      let h = x;
      for (let i = 1; i <= 5; i++) {
        h = layer(h, `layer${i}`, 2);
        if (i < 5) h = tf.add(h, layer(layer(h, `res${i}.layer1`, 1), `res${i}.layer2`, 1));
      }
      return tf.reshape(h, [-1, 10]);
    },
  };
};

const mlp: TfNetOf = (tf, _, p) => ({
  forward: (x) => {
    const h = tf.relu(linear(tf, p, tf.relu(linear(tf, p, x, 'hidden1')), 'hidden2'));
    return linear(tf, p, h, 'head');
  },
});

/** Its own layer; the gates lie in the same order as ours. */
const lstm: TfNetOf = (tf, { layers }, p, x) => {
  // The default initializer of the recurrent weights needs operators that its packages do not register by themselves.
  const layer = layers.lstm({ units: 64, recurrentActivation: 'sigmoid', recurrentInitializer: 'zeros' });
  layer.apply(x).dispose();
  const bias = tf.add(p.start('lstm.bias_ih_l0'), p.start('lstm.bias_hh_l0'));
  layer.setWeights([p.start('lstm.weight_ih_l0'), p.start('lstm.weight_hh_l0'), bias]);
  return { forward: (input) => linear(tf, p, layer.apply(input), 'head'), more: layer.countParams() };
};

const nets: Readonly<Record<string, TfNetOf>> = {
  mlp,
  lstm,
  'mnist-basic': mnistBasic,
  'mnist-resnet': mnistResnet,
};

/** Rows that are written for TensorFlow.js. */
export const tfjsRows: ReadonlySet<string> = new Set(Object.keys(nets));

export type TfjsBackend = 'wasm' | 'cpu';

/** Opens TensorFlow.js from `folder`, on WebAssembly or in plain JavaScript. */
export async function openTfjs(
  name: string,
  row: PeerRow,
  backend: TfjsBackend,
  { folder, threads }: { readonly folder: string; readonly threads: number },
): Promise<Trainer> {
  const load = createRequire(join(resolve(folder), 'package.json'));
  const tf = load('@tensorflow/tfjs-core') as TfCore;
  const layers = load('@tensorflow/tfjs-layers') as TfLayers;
  load('@tensorflow/tfjs-backend-cpu');
  const wasm = load('@tensorflow/tfjs-backend-wasm') as TfWasm;
  if (backend === 'wasm') wasm.setThreadsCount(threads);
  await tf.setBackend(backend);
  await tf.ready();
  const p = new Parameters(tf, row);
  const { x: image, y } = row.batch;
  const raw = tf.tensor(image!.data, image!.dims, 'float32');
  const x = raw.shape.length === 4 ? tf.transpose(raw, [0, 2, 3, 1]) : raw;
  const target = tf.oneHot(tf.tensor(y!.data, y!.dims, 'int32'), 10);
  const { forward, more = 0 } = nets[name]!(tf, layers, p, x);
  const { lr, beta1, beta2, eps } = peerHyper;
  const adam = tf.train.adam(lr, beta1, beta2, eps);
  const loss = (): TfTensor => tf.losses.softmaxCrossEntropy(target, forward(x));
  // Makes the variables.
  forward(x).dispose();
  // Throws where the backend lacks a gradient's kernel.
  const trial = adam.computeGradients(loss);
  for (const one of [trial.value, ...Object.values(trial.grads)]) one.dispose();
  return {
    facts: { tfjs: tf.version_core, threads: backend === 'wasm' ? wasm.getThreadsCount() : 1 },
    parameters: p.trainedCount + more,
    async step() {
      const cost = adam.minimize(loss, true);
      const [value] = await cost.data();
      cost.dispose();
      return value!;
    },
  };
}
