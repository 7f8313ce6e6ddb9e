import { ensure } from '../core/errors.ts';
import type { OptimizerDef } from '../optim/define.ts';
import type { Tensors } from '../run/session.ts';
import type { TrainState } from '../step/state.ts';
import type { Task } from '../step/train-step.ts';
import { type CompiledOptimizer, type CompiledStep, compileOptimizer, compileStep, type OpenGraph } from './compile.ts';
import type { OwnStep } from './fit-loop.ts';

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

function checkTurns(turns: readonly Turn[]): void {
  ensure(turns.length > 0, 'bad-argument', () => 'compileTurns: expected at least one turn, got an empty list');
  const tasks = new Map(turns.map(({ task }) => [task.name, task]));
  const other = turns.find(({ task }) => tasks.get(task.name) !== task);
  ensure(other === undefined, 'bad-argument', () => {
    return `compileTurns: expected tasks with different names, got two named ${other?.task.name}; rows have the loss of each by its name`;
  });
}

/** The inputs of a task among the tensors of a batch. */
const inputsOf = ({ name: task, inputs }: Task, batch: Tensors): Tensors =>
  Object.fromEntries(
    inputs.map(({ name }) => {
      ensure(batch[name] !== undefined, 'bad-data', () => {
        return `turn of ${task}: expected a batch with ${name}, got ${Object.keys(batch).join(', ')}`;
      });
      return [name, batch[name]];
    }),
  );

/**
 * compileTurns: a step of the loop that consists of several, each with a loss of its own: update k of the state, and the batches that lead to it,
 * belong to `turns[k % turns.length]`. Every task declares all parameters of the state that it uses, and the inputs of the batch that it reads.
 * Whose turn it is follows from `state.step` alone, so a resumed run continues with the right one. Throws `bad-argument` for an empty list and
 * for two tasks of one name.
 */
export async function compileTurns(
  state: TrainState,
  turns: readonly Turn[],
  { open, optimizer, groupOf }: TurnOptions,
): Promise<OwnStep> {
  checkTurns(turns);
  const steps = new Map<Task, CompiledStep>();
  const optimizers = new Map<number, CompiledOptimizer>();
  const release = async (): Promise<void> => {
    for (const one of [...steps.values(), ...optimizers.values()]) await one.release();
  };
  try {
    for (const { task, group } of turns) {
      if (!steps.has(task)) steps.set(task, await compileStep(task, open, (name) => groupOf(name) === group));
      const own = (step: number): number => updatesOf(turns, group, step);
      if (!optimizers.has(group))
        optimizers.set(group, await compileOptimizer(optimizer, state, open, (one) => one.group === group, own));
    }
  } catch (error) {
    await release();
    throw error;
  }
  const now = (): Turn => turns[state.step % turns.length]!;
  return {
    turns: { names: [...steps.keys()].map(({ name }) => name), now: () => now().task.name },
    graphs: turns.map(({ task }) => steps.get(task)!.graphs.training),
    gradients: (batch, seed) => {
      const { task } = now();
      return steps.get(task)!.gradients(state, inputsOf(task, batch), { seed });
    },
    update: (hyper) => optimizers.get(now().group)!.update(state, hyper),
    release,
  };
}
