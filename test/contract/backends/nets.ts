import { humanNumbersWords, model5 } from '../../../models/human-numbers.ts';
import { mnistBasic } from '../../../models/mnist.ts';
import { restoreUnet, restoreUnetDefaults } from '../../../models/unet.ts';
import { createRng, type Rng } from '../../../training/core/rng.ts';
import { f32, i32, sizeOf, type Tensor } from '../../../training/core/tensor.ts';
import { compileOptimizer, compileStep, type OpenGraph } from '../../../training/loop/compile.ts';
import { keepResident } from '../../../training/loop/resident.ts';
import * as losses from '../../../training/nn/losses.ts';
import * as o from '../../../training/ops/build.ts';
import { adamw, sgd } from '../../../training/optim/optimizers.ts';
import type { Tensors } from '../../../training/run/session.ts';
import { createState, initState } from '../../../training/step/state.ts';
import type { Task } from '../../../training/step/train-step.ts';

/*
 * Small forms of the nets that fettle trains, to be trained for some steps on every backend: their losses state whether all
 * of forward, gradient and update agree. Nothing here knows where it runs.
 */

interface Net {
  readonly task: Task;
  readonly batch: (rng: Rng) => Tensors;
  readonly lr: number;
}

const uniform = (rng: Rng, dims: readonly number[]): Tensor =>
  f32(
    dims,
    Array.from({ length: sizeOf(dims) }, () => rng.next()),
  );
const whole = (rng: Rng, dims: readonly number[], below: number): Tensor =>
  i32(
    dims,
    Array.from({ length: sizeOf(dims) }, () => rng.int(0, below - 1)),
  );
const f32Input = (name: string, shape: readonly number[]) => ({ name, dtype: 'float32', shape }) as const;
const i32Input = (name: string, shape: readonly number[]) => ({ name, dtype: 'int32', shape }) as const;

const [n, digit, photo, words] = [8, [8, 1, 28, 28], [2, 3, 16, 16], [4, 5]] as const;
const smallUnet = { ...restoreUnetDefaults, widths: [6, 8], blocks: [1, 1], headWidth: 5 };

export const nets = {
  'lesson CNN': {
    task: {
      name: 'cnn',
      inputs: [f32Input('x', digit), i32Input('y', [n])],
      forward: (scope, { x, y }) => ({ loss: losses.crossEntropyLoss(mnistBasic(scope, x!), y!) }),
    },
    batch: (rng) => ({ x: uniform(rng, digit), y: whole(rng, [n], 10) }),
    lr: 3e-3,
  },
  'restore U-Net': {
    task: {
      name: 'unet',
      inputs: [f32Input('x', photo), f32Input('y', photo)],
      forward: (scope, { x, y }) => ({ loss: losses.mseLoss(restoreUnet(scope, x!, smallUnet), y!) }),
    },
    batch: (rng) => ({ x: uniform(rng, photo), y: uniform(rng, photo) }),
    lr: 1e-3,
  },
  'human-numbers GRU': {
    task: {
      name: 'gru',
      inputs: [i32Input('x', words), i32Input('y', words)],
      forward: (scope, { x, y }) => {
        const scores = o.reshape(model5(scope, x!), [-1, humanNumbersWords]);
        return { loss: losses.crossEntropyLoss(scores, o.reshape(y!, [-1])) };
      },
    },
    batch: (rng) => ({ x: whole(rng, words, humanNumbersWords), y: whole(rng, words, humanNumbersWords) }),
    lr: 3e-3,
  },
} as const satisfies Readonly<Record<string, Net>>;

export type NetName = keyof typeof nets;
export const netNames = Object.keys(nets) as NetName[];
export const optimizersHere = { adamw, sgd } as const;

export interface TrainJob {
  readonly net: NetName;
  readonly steps: number;
  readonly optimizer?: keyof typeof optimizersHere;
}

/** Trains a net from its first weights: the loss of each step, and the loss after the last. */
export async function trainNet({ net, steps, optimizer = 'adamw' }: TrainJob, open: OpenGraph): Promise<number[]> {
  const { task, batch, lr }: Net = nets[net];
  const rng = createRng(7, net);
  const batches = Array.from({ length: 3 }, () => batch(rng));
  const def = optimizersHere[optimizer];
  const step = await compileStep(task, open);
  const state = createState(step.graphs.specs, { optimizer: def });
  initState(state, 1);
  const update = await compileOptimizer(def, state, open);
  const seen: number[] = [];
  await keepResident(state, async () => {
    for (let i = 0; i < steps; i++) {
      seen.push(await step.gradients(state, batches[i % 3]!, { seed: 5 }));
      await update.update(state, { lr });
    }
    seen.push(await step.gradients(state, batches[0]!, { seed: 5 }));
  });
  await Promise.all([step.release(), update.release()]);
  return seen;
}
