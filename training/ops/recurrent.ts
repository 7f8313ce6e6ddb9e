import { ensure } from '../core/errors.ts';
import { sameShape } from '../core/shape.ts';
import { showValue, type Value, type ValueType } from '../onnx/graph.ts';
import { defineOp, need, needRank } from './define.ts';

/** Checks x[T,N,C], w[1,G*H,C], r[1,G*H,H], b[1,2*G*H]? and states [1,N,H]?; outputs [T,1,N,H] and a state each. */
function inferRecurrent(
  inputs: readonly (Value | undefined)[],
  { gates, hidden, states }: { readonly gates: number; readonly hidden: number; readonly states: number },
  where: string,
): ValueType[] {
  const [x, w, r] = [need(inputs, 0, where), need(inputs, 1, where), need(inputs, 2, where)];
  needRank(x, 3, where);
  const [t, n, c] = x.shape;
  const state = [1, n!, hidden];
  const wanted = [w, [1, gates * hidden, c!], r, [1, gates * hidden, hidden]] as const;
  ensure(
    sameShape(w.shape, wanted[1]) && sameShape(r.shape, wanted[3]),
    'bad-shape',
    () =>
      `${where}: expected w [1,${gates}*H,C] and r [1,${gates}*H,H] for H ${hidden}, got ${showValue(x)}, ${showValue(w)} and ${showValue(r)}`,
  );
  for (const start of inputs.slice(5))
    ensure(
      start === undefined || sameShape(start.shape, state),
      'bad-shape',
      () => `${where}: expected a state [1,N,${hidden}] for ${showValue(x)}, got ${start && showValue(start)}`,
    );
  const dtype = x.dtype;
  return [{ dtype, shape: [t!, 1, n!, hidden] }, ...Array.from({ length: states }, () => ({ dtype, shape: state }))];
}

/**
 * ONNX's own recurrent operators, one direction, time first: what exported graphs run. Inputs x, w, r, b?, sequence_lens (left
 * out), first state(s)?. Training unrolls the time steps instead, so these have no gradient.
 */
export const recurrentOps = {
  RNN: defineOp(14, { hidden_size: 'int', activations: 'strings' }, (inputs, { hidden_size: hidden }, where) =>
    inferRecurrent(inputs, { gates: 1, hidden, states: 1 }, where),
  ),
  GRU: defineOp(14, { hidden_size: 'int', linear_before_reset: 'int' }, (inputs, { hidden_size: hidden }, where) =>
    inferRecurrent(inputs, { gates: 3, hidden, states: 1 }, where),
  ),
  LSTM: defineOp(14, { hidden_size: 'int' }, (inputs, { hidden_size: hidden }, where) =>
    inferRecurrent(inputs, { gates: 4, hidden, states: 2 }, where),
  ),
  /**
   * A loop as one node: `body` gets the last states and one slice of every sequence, and gives the next states and one slice
   * of every output. Inputs: states, then num_scan_inputs sequences [T,...]; outputs: last states, then sequences [T,...].
   */
  Scan: defineOp(
    16,
    { body: 'graph', num_scan_inputs: 'int', scan_input_directions: 'ints', scan_output_directions: 'ints' },
    (inputs, { body, num_scan_inputs: count }, where) => {
      const states = inputs.length - count;
      const length = need(inputs, states, where).shape[0]!;
      ensure(
        body.inputs.length === inputs.length &&
          body.inputs.every((value, i) => {
            const input = need(inputs, i, where);
            return sameShape(value.shape, i < states ? input.shape : input.shape.slice(1));
          }),
        'bad-shape',
        () => `${where}: expected inputs as the body has them, got ${inputs.map((value) => value && showValue(value))}`,
      );
      return body.outputs.map(({ value: { dtype, shape } }, i) => ({
        dtype,
        shape: i < states ? shape : [length, ...shape],
      }));
    },
  ),
};
