import { staticShape } from '../core/shape.ts';
import type { Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import type { Cell, CellWeights } from './cells.ts';
import { type LoopForm, type LoopResult, loop, Sequence } from './loop.ts';

/** One layer: what it computes, and how its loops are written. */
export interface RecurrentLayer {
  readonly cell: Cell;
  readonly weights: CellWeights;
  /** The first states, [H,N] each. */
  readonly start: readonly Value[];
  readonly form: LoopForm;
}

/** What one layer makes of its input. */
export interface LayerResult {
  /** [T,H,N]. */
  readonly output: Value;
  /** Last states, [H,N] each. */
  readonly states: readonly Value[];
}

type Gradients = readonly (Value | undefined)[];

/** What the forward loop kept for the way back. */
export interface Kept {
  /** The output. */
  readonly y: Sequence;
  /** The result of `cell.step`. */
  readonly rest: readonly Sequence[];
}

/** b[G*H] as a column, or undefined. */
const column = (b: Value | undefined): Value | undefined => b && o.unsqueeze(b, [1]);
const isValue = (value: Value | undefined): value is Value => value !== undefined;

/** x[T,R,N] -> [R,T*N]: what products over all time steps and sequences want. */
function flat(x: Value): Value {
  const [t, r, n] = x.shape as [number, number, number];
  return o.reshape(o.transpose(x, [1, 0, 2]), [r, t * n]);
}

/** Time steps `start` to `end` of x[T,H,N]. */
const steps = (x: Value, start: number, end: number): Value => o.slice(x, { axes: [0], starts: [start], ends: [end] });

/** dy[T,H,N] (zeros by default) with `last` added to its last step. */
function withLast(dy: Value | undefined, last: Value | undefined, y: Value): Value {
  const all = dy ?? o.expand(y.graph.scalar(0), y.shape as number[]);
  if (last === undefined) return all;
  const t = y.shape[0] as number;
  const end = o.add(steps(all, t - 1, t), o.unsqueeze(last, [0]));
  return t === 1 ? end : o.concat([steps(all, 0, t - 1), end], 0);
}

function forward(x: Value, { cell, weights, start, form }: RecurrentLayer): { kept: Kept; states: readonly Value[] } {
  const { input, hidden, inputBias, hiddenBias } = weights;
  const product = o.matmul(input, x);
  const bias = column(cell.inputBias(inputBias, hiddenBias));
  const projected = Sequence.of(bias ? o.add(product, bias) : product);
  const { states, outputs } = loop(
    {
      sequences: [projected],
      states: start,
      shared: [hidden, column(cell.stepBias(hiddenBias))].filter(isValue),
      step: ([slice], last, [w, b]) => {
        const next = cell.step(slice!, last, w!, b);
        return { states: next.states, outputs: [next.states[0]!, ...next.outputs] };
      },
    },
    form,
  );
  return { kept: { y: outputs[0]!, rest: outputs.slice(1) }, states };
}

/**
 * Below this many numbers in a state the factors of the way back are computed for all time steps at once: there the nodes cost
 * more than the numbers. Above it they are computed step by step, where they stay in the cache.
 */
const manyNumbers = 1 << 14;

/** The way back through the loop, and the factors over all time steps. */
function back(
  layer: RecurrentLayer,
  kept: Kept,
  dys: Gradients,
  wT: Value,
): LoopResult & { factors: () => readonly Value[] } {
  const { cell, start, form } = layer;
  const [h, n] = start[0]!.shape as [number, number];
  const [dy, dLast, ...dStates] = dys;
  const factors = (): readonly Value[] => cell.factors(kept.rest.map(({ whole }) => whole));
  const perStep = h * n >= manyNumbers;
  const given = perStep ? [] : factors();
  const result = loop(
    {
      sequences: [
        Sequence.of(withLast(dy, dLast, kept.y.whole)),
        ...(perStep ? kept.rest : given.map((factor) => Sequence.of(factor))),
      ],
      states: cell.carried.map((rows, i) => dStates[i - 1] ?? o.expand(wT.graph.scalar(0), [rows * h, n])),
      shared: [wT],
      reverse: true,
      step: ([slice, ...more], carried, [w]) => cell.stepBack(slice!, perStep ? cell.factors(more) : more, carried, w!),
    },
    form,
  );
  return { ...result, factors: perStep ? factors : () => given };
}

/** The gradients of x, both weights, the biases there are, and the first states. */
export function recurrentGradients(
  x: Value,
  layer: RecurrentLayer,
  kept: Kept,
  dys: Gradients,
  needs: readonly boolean[],
): Gradients {
  const { cell, weights, start } = layer;
  const wT = o.transpose(weights.hidden, [1, 0]);
  const { states, outputs, factors } = back(layer, kept, dys, wT);
  const gates = cell.gateGrads(
    outputs.map(({ whole }) => whole),
    factors,
  );
  const byInput = flat(gates.input);
  const byHidden = gates.hidden === gates.input ? byInput : flat(gates.hidden);
  const t = x.shape[0] as number;
  const before = o.concat([o.unsqueeze(start[0]!, [0]), ...(t > 1 ? [steps(kept.y.whole, 0, t - 1)] : [])], 0);
  const weight = (grads: Value, rows: Value): Value => o.gemm(grads, flat(rows), undefined, { transB: true });
  const bias = (b: Value | undefined, grads: Value): Value[] => (b ? [o.reduceSum(grads, { axes: [1] })] : []);
  const ofStart = needs.slice(-start.length).some(Boolean) ? cell.stateGrads(states, wT) : start.map(() => undefined);
  return [
    needs[0] ? o.matmul(o.transpose(weights.input, [1, 0]), gates.input) : undefined,
    needs[1] ? weight(byInput, x) : undefined,
    needs[2] ? weight(byHidden, before) : undefined,
    ...bias(weights.inputBias, byInput),
    ...bias(weights.hiddenBias, byHidden),
    ...ofStart,
  ];
}

/**
 * One layer over x[T,C,N], with its derivative written by hand. Only the product with the state is left in the loops: those with
 * the inputs of all time steps, and those of the gradients of both weights, are one each.
 */
export function recurrentLayer(x: Value, layer: RecurrentLayer): LayerResult {
  staticShape(x.shape, 'recurrent layer');
  const { weights, start } = layer;
  const biases = [weights.inputBias, weights.hiddenBias].filter(isValue);
  let kept: Kept | undefined;
  const [output, ...states] = x.graph.region(
    [x, weights.input, weights.hidden, ...biases, ...start],
    () => {
      const made = forward(x, layer);
      kept = made.kept;
      return [kept.y.whole, ...made.states];
    },
    (dys, needs) => recurrentGradients(x, layer, kept!, dys, needs),
  );
  return { output: output!, states };
}
