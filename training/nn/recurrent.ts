import { ensure } from '../core/errors.ts';
import { knownKeys, namesOf } from '../core/known-keys.ts';
import { staticShape } from '../core/shape.ts';
import { showValue, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { type Cell, type CellWeights, gruCell, lstmCell, rnnCell } from './cells.ts';
import { featuresOf } from './common.ts';
import { dropout, weightDrop } from './dropout.ts';
import { uniformInit } from './init.ts';
import { recurrentLayer } from './recurrent-layer.ts';
import type { Scope } from './scope.ts';

export interface RecurrentOptions {
  /** H: numbers in the state. */
  readonly hidden: number;
  /** Layers, one on the outputs of the other; 1 by default. */
  readonly layers?: number;
  readonly bias?: boolean;
  /** Dropout on the outputs of every layer but the last, while training. */
  readonly dropout?: number;
  /** Dropout of the recurrent weights, one mask per step of training (Merity et al. 2017). */
  readonly weightDrop?: number;
}

const optionNames = namesOf<RecurrentOptions & { readonly nonlinearity?: string }>({
  hidden: true,
  layers: true,
  bias: true,
  dropout: true,
  weightDrop: true,
  nonlinearity: true,
});

export interface RecurrentOutput {
  /** The last layer's state at every time, [N,T,H]. */
  readonly output: Value;
  /** Every layer's last state, [layers,N,H]: feed it to the next batch to carry on. */
  readonly hidden: Value;
}
export interface LstmOutput extends RecurrentOutput {
  /** Every layer's last cell, [layers,N,H]. */
  readonly cell: Value;
}

function layerWeights(
  scope: Scope,
  layer: number,
  features: number,
  cell: Cell,
  options: RecurrentOptions,
): CellWeights {
  const { hidden, bias = true } = options;
  const init = uniformInit(1 / Math.sqrt(hidden));
  const rows = cell.gates * hidden;
  const param = (name: string, shape: readonly number[]): Value => scope.param(`${name}_l${layer}`, shape, init);
  return {
    input: param('weight_ih', [rows, features]),
    hidden: weightDrop(scope, param('weight_hh', [rows, hidden]), options.weightDrop ?? 0),
    inputBias: bias ? param('bias_ih', [rows]) : undefined,
    hiddenBias: bias ? param('bias_hh', [rows]) : undefined,
  };
}

/** What the layers make of x[N,T,C]: the output [N,T,H], and every state's last values, [layers,N,H] each. */
interface Layers {
  readonly output: Value;
  readonly states: readonly Value[];
}

/** The layers of a recurrent net over x[N,T,C], by ONNX's operators. */
function exportedLayers(scope: Scope, x: Value, cell: Cell, options: RecurrentOptions, starts: Starts): Layers {
  const last: (readonly Value[])[] = [];
  let y = o.transpose(x, [1, 0, 2]);
  for (let layer = 0; layer < (options.layers ?? 1); layer++) {
    const weights = layerWeights(scope, layer, featuresOf(y, 'recurrent layer'), cell, options);
    const from = starts?.map((state) => state[layer]!);
    const { output, states } = cell.onnx(y, weights, from, options.hidden);
    last.push(states);
    y = output;
  }
  return { output: o.transpose(y, [1, 0, 2]), states: perState(cell, last) };
}

/** Per layer the states [1,N,H] -> per state [layers,N,H]. */
const perState = (cell: Cell, last: readonly (readonly Value[])[]): Value[] =>
  cell.states.map((_, i) =>
    o.concat(
      last.map((states) => states[i]!),
      0,
    ),
  );

/** The same for training and evaluation; numbers lie as [T,C,N] in between, see `recurrentLayer`. */
function trainedLayers(scope: Scope, x: Value, cell: Cell, options: RecurrentOptions, starts: Starts): Layers {
  const { hidden, layers = 1, dropout: p = 0 } = options;
  const [n] = staticShape(x.shape, 'recurrent layer');
  const last: (readonly Value[])[] = [];
  let y = o.transpose(x, [1, 2, 0]);
  for (let layer = 0; layer < layers; layer++) {
    const weights = layerWeights(scope, layer, y.shape[1] as number, cell, options);
    const from = starts?.map((state) => o.transpose(o.squeeze(state[layer]!, [0]), [1, 0]));
    const zeros = (): Value => o.expand(x.graph.scalar(0), [hidden, n!]);
    const start = from ?? cell.states.map(zeros);
    const { output, states } = recurrentLayer(y, { cell, weights, start, form: scope.loops });
    last.push(states.map((state) => o.unsqueeze(o.transpose(state, [1, 0]), [0])));
    y = layer < layers - 1 ? dropout(scope, output, p) : output;
  }
  return { output: o.transpose(y, [2, 0, 1]), states: perState(cell, last) };
}

/** Per state its first values, [1,N,H] per layer. */
type Starts = readonly (readonly Value[])[] | undefined;

/** The layers of a recurrent net over x[N,T,C]. */
function recurrent(
  scope: Scope,
  x: Value,
  cell: Cell,
  options: RecurrentOptions,
  start: readonly Value[] | undefined,
): Layers {
  knownKeys('recurrent layer', options, optionNames);
  ensure(x.shape.length === 3, 'bad-shape', () => `recurrent layer: expected x[N,T,C], got ${showValue(x)}`);
  const starts = start?.map((state) => splitLayers(state, options.layers ?? 1));
  return (scope.exported ? exportedLayers : trainedLayers)(scope, x, cell, options, starts);
}

/** [layers,N,H] as one [1,N,H] per layer. */
function splitLayers(state: Value, layers: number): readonly Value[] {
  ensure(
    state.shape.length === 3 && state.shape[0] === layers,
    'bad-shape',
    () => `recurrent layer: expected a state [${layers},N,H], got ${showValue(state)}`,
  );
  return o.split(
    state,
    Array.from({ length: layers }, () => 1),
    0,
  );
}

/**
 * Elman's network: x[N,T,C] -> output [N,T,H], h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or ReLU. `state` [layers,N,H] is the
 * first one, zeros by default. Parameters as PyTorch's nn.RNN: `weight_ih_l0` [H,C], `weight_hh_l0` [H,H], `bias_ih_l0`,
 * `bias_hh_l0` [H], and so on. Training needs static N and T; an exported graph runs ONNX's RNN and takes any. Throws `bad-shape`.
 */
export function rnn(
  scope: Scope,
  x: Value,
  options: RecurrentOptions & { readonly nonlinearity?: 'tanh' | 'relu' },
  state?: Value,
): RecurrentOutput {
  const { output, states } = recurrent(scope, x, rnnCell(options.nonlinearity ?? 'tanh'), options, state && [state]);
  return { output, hidden: states[0]! };
}

/**
 * Gated recurrent unit (Cho et al. 2014): x[N,T,C] -> output [N,T,H]. Parameters as PyTorch's nn.GRU, gates in the order reset,
 * update, new: `weight_ih_l0` [3H,C], `weight_hh_l0` [3H,H], `bias_ih_l0`, `bias_hh_l0` [3H]. Otherwise as {@link rnn}.
 */
export function gru(scope: Scope, x: Value, options: RecurrentOptions, state?: Value): RecurrentOutput {
  const { output, states } = recurrent(scope, x, gruCell, options, state && [state]);
  return { output, hidden: states[0]! };
}

/**
 * Long short-term memory (Hochreiter & Schmidhuber 1997): x[N,T,C] -> output [N,T,H]. Parameters as PyTorch's nn.LSTM, gates in
 * the order input, forget, cell, output: `weight_ih_l0` [4H,C], and so on. The state is hidden and cell. Otherwise as {@link rnn}.
 */
export function lstm(
  scope: Scope,
  x: Value,
  options: RecurrentOptions,
  state?: { readonly hidden: Value; readonly cell: Value },
): LstmOutput {
  const { output, states } = recurrent(scope, x, lstmCell, options, state && [state.hidden, state.cell]);
  return { output, hidden: states[0]!, cell: states[1]! };
}
