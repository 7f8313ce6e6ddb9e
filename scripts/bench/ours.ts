import type { Tensor } from '../../training/core/tensor.ts';
import { compileOptimizer, compileStep } from '../../training/loop/compile.ts';
import type { Graph } from '../../training/onnx/graph.ts';
import type { OptimizerDef } from '../../training/optim/define.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { createState, initState, type TrainState } from '../../training/step/state.ts';
import type { Task } from '../../training/step/train-step.ts';
import { median, type Side, timed } from './race.ts';

/** fettle's side of a race. */
export interface Ours extends Side {
  readonly state: TrainState;
  /** Seconds from nothing to the end of the first step. */
  readonly firstStepS: number;
  readonly training: Graph;
  release(): Promise<void>;
}

interface OursOptions {
  readonly optimizer: OptimizerDef;
  readonly hyper: Readonly<Record<string, number>>;
  readonly threads: number;
}

/** openOurs: compiles a net with one batch and takes a first step, then starts over with the weights of seed 1. */
export async function openOurs(
  { task, batch }: { readonly task: Task; readonly batch: Readonly<Record<string, Tensor>> },
  { optimizer: def, hyper, threads }: OursOptions,
): Promise<Ours> {
  const begin = performance.now();
  const open = (model: Uint8Array) => openSession(model, { threads });
  const step = await compileStep(task, open);
  const state = createState(step.graphs.specs, { optimizer: def });
  const restart = (): void => {
    initState(state, 1);
    for (const moment of state.moments) moment.fill(0);
    state.step = 0;
  };
  restart();
  const optimizer = await compileOptimizer(def, state, open);
  const once = async (): Promise<number> => {
    const loss = await step.gradients(state, batch, { seed: 1 });
    await optimizer.update(state, hyper);
    return loss;
  };
  await once();
  const firstStepS = (performance.now() - begin) / 1000;
  restart();
  const release = async (): Promise<void> => {
    await step.release();
    await optimizer.release();
  };
  const { training } = step.graphs;
  return { name: 'fettle', step: () => timed(once), close: () => undefined, state, firstStepS, training, release };
}

/** runAlone: only our side, for profiles: the times of `rounds` steps. */
export async function runAlone(name: string, ours: Ours, rounds: number): Promise<void> {
  const turns = [];
  for (let i = 0; i < rounds; i++) turns.push(await ours.step());
  const ms = turns.map((turn) => turn.ms);
  process.stdout.write(
    `${name}: ${Math.min(...ms).toFixed(1)} ms best, ${median(ms).toFixed(1)} median, first step after ${ours.firstStepS.toFixed(2)} s, ${turns.at(-1)!.peakMb.toFixed(0)} MB peak, ${ours.training.nodes.length} nodes\n`,
  );
}
