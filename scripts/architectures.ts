import { everyWord, humanNumbersModels, lastWord, scoresLastWord } from '../models/human-numbers.ts';
import { mnistNets } from '../models/mnist.ts';
import { restoreUnetDefaults, unetMultiple } from '../models/unet.ts';
import { restoreTask } from '../training/apps/restore.node.ts';
import { FettleError } from '../training/core/errors.ts';
import { zeros } from '../training/core/tensor.ts';
import { type Loss, type Model, taskOf } from '../training/learner/compiled.ts';
import { crossEntropyLoss } from '../training/nn/losses.ts';
import type { Task } from '../training/step/train-step.ts';

/** A trainable architecture by name: its task for batches of `batch` items of `size` (pixels a side, or words). */
export interface Architecture {
  readonly batch: number;
  /** Undefined where the architecture has one size only. */
  readonly size?: number;
  readonly task: (batch: number, size: number) => Task;
}

const activation = (x: Parameters<Model>[1]) => x;

const mnist = (name: string, model: Model): Architecture => ({
  batch: 128,
  task: (batch) => {
    const shapes = { x: zeros('float32', [batch, 1, 28, 28]), y: zeros('int32', [batch]) };
    return taskOf({ name, model, loss: crossEntropyLoss, activation }, shapes);
  },
});

const humanNumbers = (name: string, model: Model, loss: Loss, size: number): Architecture => ({
  batch: 64,
  size,
  task: (batch, words) => {
    const shapes = { x: zeros('int32', [batch, words]), y: zeros('int32', [batch, words]) };
    return taskOf({ name, model, loss, activation }, shapes);
  },
});

const restore: Architecture = {
  batch: 8,
  size: 96,
  task: (batch, size) => {
    const multiple = unetMultiple(restoreUnetDefaults);
    if (size % multiple !== 0)
      throw new FettleError('bad-argument', `--size: expected a multiple of ${multiple}, got ${size}`);
    return restoreTask(restoreUnetDefaults, 'mse', [batch, size, size]);
  },
};

const named = (
  prefix: string,
  nets: Readonly<Record<string, Model>>,
  make: (name: string, model: Model) => Architecture,
) =>
  Object.fromEntries(
    Object.entries(nets).map(([name, model]) => [`${prefix}-${name}`, make(`${prefix}-${name}`, model)]),
  );

export const architectures: Readonly<Record<string, Architecture>> = {
  'restore-unet': restore,
  ...named('mnist', mnistNets, mnist),
  ...Object.fromEntries(
    humanNumbersModels.map((model, i) => {
      const name = `human-numbers-${i}`;
      return [name, humanNumbers(name, model, scoresLastWord(i) ? lastWord : everyWord, scoresLastWord(i) ? 3 : 20)];
    }),
  ),
};

export function architectureOf(name: string): Architecture {
  const found = Object.hasOwn(architectures, name) ? architectures[name] : undefined;
  if (found === undefined)
    throw new FettleError(
      'not-found',
      `expected an architecture of ${Object.keys(architectures).join(', ')}, got ${name}`,
    );
  return found;
}
