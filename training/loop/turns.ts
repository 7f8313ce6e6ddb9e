import type { OptimizerDef } from '../optim/define.ts';
import type { Tensors } from '../run/session.ts';
import type { TrainState } from '../step/state.ts';
import type { Task } from '../step/train-step.ts';
import { compileOptimizer, compileStep, type OpenGraph } from './compile.ts';
import type { TrainStep } from './fit-loop.ts';

/** One of the tasks that train a state in turn: generator or critic, say. */
export interface Turn {
  readonly task: Task;
  /** The parameter group that it trains; those of other groups are constants to it. */
  readonly group: number;
}

export interface TurnOptions {
  readonly open: OpenGraph;
  /** That of the state. */
  readonly optimizer: OptimizerDef;
  /** That of the state: the group of each parameter. */
  readonly groupOf: (name: string) => number;
}

/** How many of the first `step` updates are those of a group. */
const updatesOf = (turns: readonly Turn[], group: number, step: number): number => {
  const within = (count: number): number => turns.slice(0, count).filter((turn) => turn.group === group).length;
  return Math.floor(step / turns.length) * within(turns.length) + within(step % turns.length);
};

/**
 * compileTurns: a step of the loop that consists of several, each with a loss of its own: update k of the state, and the batches that lead to it,
 * belong to `turns[k % turns.length]`. Every task declares all parameters of the state that it uses, and the inputs of the batch that it reads.
 * Whose turn it is follows from `state.step` alone, so a resumed run continues with the right one.
 */
export async function compileTurns(
  state: TrainState,
  turns: readonly Turn[],
  { open, optimizer, groupOf }: TurnOptions,
): Promise<TrainStep & { release(): Promise<void> }> {
  const steps = new Map<Task, Awaited<ReturnType<typeof compileStep>>>();
  const optimizers = new Map<number, Awaited<ReturnType<typeof compileOptimizer>>>();
  for (const { task, group } of turns) {
    if (!steps.has(task)) steps.set(task, await compileStep(task, open, (name) => groupOf(name) === group));
    const own = (step: number): number => updatesOf(turns, group, step);
    if (!optimizers.has(group))
      optimizers.set(group, await compileOptimizer(optimizer, state, open, (one) => one.group === group, own));
  }
  const now = (): Turn => turns[state.step % turns.length]!;
  const inputsOf = ({ inputs }: Task, batch: Tensors): Tensors =>
    Object.fromEntries(inputs.map(({ name }) => [name, batch[name]!]));
  return {
    gradients: (batch, seed) => {
      const { task } = now();
      return steps.get(task)!.gradients(state, inputsOf(task, batch), { seed });
    },
    update: (hyper) => optimizers.get(now().group)!.update(state, hyper),
    release: async () => {
      for (const one of [...steps.values(), ...optimizers.values()]) await one.release();
    },
  };
}
