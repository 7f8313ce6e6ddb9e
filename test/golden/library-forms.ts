import * as layers from '../../training/nn/layers.ts';
import * as losses from '../../training/nn/losses.ts';
import type { Scope } from '../../training/nn/scope.ts';
import type { Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import type { Form } from './compute.ts';
import type { GoldenCase } from './fixtures.ts';

/* Forms of the layers and losses whose fixtures name their parameters as our scopes do (fixtures_layers.py, fixtures_losses.py). */

type Values = Readonly<Record<string, Value>>;
/** The outputs, or the one called `y`. */
type Build = (scope: Scope, inputs: Values, attrs: never) => Value | Values;

const isValue = (result: Value | Values): result is Value => 'graph' in result && 'dtype' in result;
const int32 = (labels: Value | undefined): Value => o.cast(labels!, 'int32');

/** A layer: inputs in `data` are fed to it, all others are parameters and buffers of the same names. */
const layer = (build: Build, data: readonly string[] = ['x']) => ({ build, data });

/** rnn and gru: outputs by PyTorch's names. */
const recurrent =
  (run: typeof layers.rnn): Build =>
  (scope, { x, hidden0 }, attrs: layers.RecurrentOptions) => {
    const { output, hidden } = run(scope, x!, attrs, hidden0);
    return { output, hidden };
  };

const lstm: Build = (scope, { x, hidden0, cell0 }, attrs: layers.RecurrentOptions) => {
  const { output, hidden, cell } = layers.lstm(scope, x!, attrs, { hidden: hidden0!, cell: cell0! });
  return { output, hidden, cell };
};

const spectralConv: Build = (scope, { x }) => {
  const y = layers.conv2d(scope, x!, { filters: 5, spectralNorm: true });
  const [u, v] = [scope.updates.get('weight_u'), scope.updates.get('weight_v')];
  return u && v ? { y, u, v } : y;
};

const layerForms: Readonly<Record<string, ReturnType<typeof layer>>> = {
  conv1d: layer((s, { x }, attrs: layers.Conv1dOptions) => layers.conv1d(s, x!, { padding: 0, ...attrs })),
  conv2dSame: layer((s, { x }) =>
    layers.conv2d(s, x!, { filters: 4, kernel: [4, 3], dilation: [1, 2], padding: 'same' }),
  ),
  convTranspose2d: layer((s, { x }, attrs: layers.ConvTranspose2dOptions) => layers.convTranspose2d(s, x!, attrs)),
  adaptiveAveragePool: layer((_, { x }, { size }: { size: number[] }) => layers.adaptiveAveragePool(x!, size)),
  adaptiveMaxPool: layer((_, { x }, { size }: { size: number[] }) => layers.adaptiveMaxPool(x!, size)),
  adaptiveConcatPool: layer((_, { x }) => layers.adaptiveConcatPool(x!)),
  layerNorm: layer((s, { x }, attrs: { axes: number }) => layers.layerNorm(s, x!, attrs)),
  groupNorm: layer((s, { x }, { groups }: { groups: number }) => layers.groupNorm(s, x!, groups)),
  instanceNorm: layer((s, { x }) => layers.instanceNorm(s, x!)),
  spectralConv: layer(spectralConv),
  prelu: layer((s, { x }, attrs: { perChannel: boolean }) => layers.prelu(s, x!, attrs)),
  linearLast: layer((s, { x }, { features }: { features: number }) => layers.linear(s, x!, features)),
  embedding: layer(
    (s, { indices }, attrs: layers.EmbeddingOptions) => layers.embedding(s, int32(indices), attrs),
    ['indices'],
  ),
  rnn: layer(recurrent(layers.rnn), ['x', 'hidden0']),
  gru: layer(recurrent(layers.gru), ['x', 'hidden0']),
  lstm: layer(lstm, ['x', 'hidden0', 'cell0']),
  basicBlock: layer((s, { x }, attrs: layers.ResNetBlockOptions) => layers.basicBlock(s, x!, attrs)),
  bottleneckBlock: layer((s, { x }, attrs: layers.ResNetBlockOptions) => layers.bottleneckBlock(s, x!, attrs)),
  denseBlock: layer((s, { x }, attrs: layers.DenseBlockOptions) => layers.denseBlock(s, x!, attrs)),
  denseTransition: layer((s, { x }, attrs: { filters: number }) => layers.denseTransition(s, x!, attrs)),
};

/** A loss of x and its target or labels. */
const loss = (build: (x: Value, target: Value, attrs: never) => Value) =>
  layer((_, { x, target, labels }, attrs) => build(x!, target ?? int32(labels), attrs), ['x', 'target', 'labels']);

const lossForms: Readonly<Record<string, ReturnType<typeof layer>>> = {
  crossEntropyOf: loss((x, labels, attrs: losses.CrossEntropyOptions) => losses.crossEntropyLoss(x, labels, attrs)),
  huber: loss((x, target, { delta }: { delta: number }) => losses.huberLoss(x, target, delta)),
  smoothL1: loss((x, target, { beta }: { beta: number }) => losses.smoothL1Loss(x, target, beta)),
  bce: loss((x, target, attrs: { positiveWeight?: number }) => losses.bceWithLogitsLoss(x, target, attrs)),
  binaryFocal: loss((x, target, attrs: { gamma: number }) => losses.binaryFocalLoss(x, target, attrs)),
  binaryDice: loss((x, target) => losses.binaryDiceLoss(x, target)),
  dice: loss((x, labels) => losses.diceLoss(x, labels)),
  focal: loss((x, labels, attrs: { gamma: number }) => losses.focalLoss(x, labels, attrs)),
  wasserstein: layer((_, { real, fake }) => losses.wassersteinLoss(real!, fake!), ['real', 'fake']),
};

/** The form of a case of these families, if it is one. */
export function libraryForm(golden: GoldenCase): Form | undefined {
  const found = layerForms[golden.op] ?? lossForms[golden.op];
  if (found === undefined) return undefined;
  const names = Object.keys(golden.inputs).filter((name) => !found.data.includes(name));
  return {
    params: Object.fromEntries(names.map((name) => [name, name])),
    training: golden.attrs.training !== false,
    build: (inputs, attrs, scope) => {
      const result = found.build(scope, inputs, attrs as never);
      return isValue(result) ? { y: result } : result;
    },
  };
}
