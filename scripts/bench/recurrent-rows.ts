import { type AwdLstmConfig, awdLstm, awdLstmDefaults, awdLstmPenalty, carriedStates } from '../../models/awd-lstm.ts';
import { humanNumbersWords, model5 } from '../../models/human-numbers.ts';
import { createRng } from '../../training/core/rng.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import { crossEntropyLoss } from '../../training/nn/losses.ts';
import type { Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import type { OptimizerName } from '../../training/optim/optimizers.ts';
import type { Task } from '../../training/step/train-step.ts';

/** A language model with one batch; `net` is its name in torch_recurrent.py, `config` what that needs to know. */
export interface RecurrentRow {
  readonly net: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly optimizer: OptimizerName;
  readonly hyper: Readonly<Record<string, number>>;
  readonly task: Task;
  readonly batch: Readonly<Record<string, Tensor>>;
}

/** Words, few of them often and many seldom, as in a language; targets are the words that follow. */
function textBatch([n, t]: readonly [number, number], words: number): RecurrentRow['batch'] {
  const rng = createRng('bench-words');
  const draw = (): number => Math.min(words - 1, Math.floor(words ** rng.next()) - 1);
  const text = Array.from({ length: n }, () => Array.from({ length: t + 1 }, draw));
  const int32 = (rows: readonly number[][]): Tensor<'int32'> => ({
    dtype: 'int32',
    dims: [n, t],
    data: Int32Array.from(rows.flat()),
  });
  return { x: int32(text.map((row) => row.slice(0, t))), y: int32(text.map((row) => row.slice(1))) };
}

const inputsOf = (dims: readonly number[]): Task['inputs'] =>
  ['x', 'y'].map((name) => ({ name, dtype: 'int32', shape: dims }));

/** Mean cross-entropy of scores [N,T,V]. */
function wordLoss(scores: Value, y: Value): Value {
  const words = scores.shape[2] as number;
  return crossEntropyLoss(o.reshape(scores, [-1, words]), o.reshape(y, [-1]));
}

/** Model5 of the human-numbers lesson: two layers of GRU. */
function gru(): RecurrentRow {
  const dims = [64, 20] as const;
  return {
    net: 'gru',
    config: {},
    optimizer: 'adam',
    hyper: { lr: 1e-3, beta1: 0.9, beta2: 0.99, eps: 1e-5, wd: 0 },
    task: {
      name: 'gru',
      inputs: inputsOf(dims),
      loops: 'scan',
      forward: (scope, { x, y }) => ({ loss: wordLoss(model5(scope, x!), y!) }),
    },
    batch: textBatch(dims, humanNumbersWords),
  };
}

/** AWD-LSTM as fastai has it, with AR and TAR; without dropouts both sides must see the same losses. */
function awd(dropMult: number): RecurrentRow {
  const dims = [32, 70] as const;
  const config: AwdLstmConfig = { ...awdLstmDefaults, words: 10_000, dropMult };
  return {
    net: 'awd_lstm',
    config: { ...config, alpha: 2, beta: 1 },
    optimizer: 'adamw',
    hyper: { lr: 1e-3, beta1: 0.8, beta2: 0.99, eps: 1e-5, wd: 0.1 },
    task: {
      name: 'awd_lstm',
      inputs: inputsOf(dims),
      loops: 'scan',
      forward: (scope, { x, y }) => {
        const carried = carriedStates(scope, dims[0], config);
        const net = awdLstm(scope, x!, config, carried.states);
        carried.keep(net.states);
        return { loss: o.add(wordLoss(net.scores, y!), awdLstmPenalty(net)) };
      },
    },
    batch: textBatch(dims, config.words),
  };
}

/** The rows by name: how the losses are compared, and what is timed. */
export const recurrentRows: Readonly<
  Record<string, { readonly same: () => RecurrentRow; readonly timed: () => RecurrentRow }>
> = {
  gru: { same: gru, timed: gru },
  'awd-lstm': { same: () => awd(0), timed: () => awd(1) },
};
