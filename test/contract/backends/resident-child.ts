/* Training on WebGPU with the numbers staying there, in a process of its own; the test that started it judges what is sent. */

import { f32 } from '../../../training/core/tensor.ts';
import { ema } from '../../../training/learner/callbacks/ema.ts';
import { gradientClip } from '../../../training/learner/callbacks/gradients.ts';
import { splitByPrefix } from '../../../training/learner/groups.ts';
import { createLearner } from '../../../training/learner/learner.ts';
import { compileOptimizer, compileStep } from '../../../training/loop/compile.ts';
import type { Callback } from '../../../training/loop/fit-loop.ts';
import { keepResident } from '../../../training/loop/resident.ts';
import { linear } from '../../../training/nn/layers.ts';
import { mseLoss } from '../../../training/nn/losses.ts';
import { adamw } from '../../../training/optim/optimizers.ts';
import { memoryOf } from '../../../training/run/memory-of.ts';
import { type OpenOptions, openSession } from '../../../training/run/ort.node.ts';
import type { DeviceMemory, Session } from '../../../training/run/session.ts';
import { runFolder } from '../../../training/runs/run-folder.node.ts';
import { createState, initState, type TrainState } from '../../../training/step/state.ts';
import { spiralOptions } from '../../helpers/tiny-tasks.ts';

/** Everything that training changes. */
export interface Numbers {
  readonly params: Float32Array;
  readonly buffers: Float32Array;
  readonly moments: readonly Float32Array[];
  readonly step: number;
}
export interface Trained extends Numbers {
  readonly losses: readonly number[];
  /** Tensors on the device after each batch, and after the run. */
  readonly live: readonly number[];
  readonly liveAfter: number;
}
export interface Long {
  /** Tensors on the device after each step, and after the run. */
  readonly live: readonly number[];
  readonly liveAfter: number;
  /** Resident set size of the process in bytes, after 300 steps and at the end. */
  readonly rss: readonly [number, number];
  /** Bytes of the tensors that one step replaces. */
  readonly replaced: number;
  readonly losses: readonly number[];
}

const open = (model: Uint8Array): Promise<Session> =>
  openSession(model, { device: 'webgpu', strict: true, threads: 1 });
/** The same device as one without memory of its own: the numbers go there and back at every step. */
async function openHosted(model: Uint8Array): Promise<Session> {
  const { device, inputNames, outputNames, ...session } = await open(model).then((one) => ({
    device: one.device,
    inputNames: one.inputNames,
    outputNames: one.outputNames,
    run: one.run.bind(one),
    release: one.release.bind(one),
  }));
  return { device, inputNames, outputNames, ...session };
}

const memoryHere = async (): Promise<DeviceMemory> => (await memoryOf(open))!;

const numbersOf = ({ params, buffers, moments, step }: TrainState): Numbers => ({ params, buffers, moments, step });

/** Trains a net with batch norm for two epochs of 8 batches. */
async function train(opener: typeof open, callbacks: readonly Callback[], rest: TrainOptions = {}): Promise<Trained> {
  const memory = await memoryHere();
  const live: number[] = [];
  const count: Callback = { name: 'count', numbers: [], order: 90, afterBatch: () => void live.push(memory.live) };
  const learner = await createLearner(spiralOptions({ open: opener, accumulate: rest.accumulate ?? 1 }));
  try {
    await learner.fitOneCycle(2, 0.02, {
      callbacks: [count, ...callbacks],
      ...(rest.folder === undefined ? {} : { store: runFolder(rest.folder, { intervalS: 0 }) }),
    });
  } finally {
    await learner.close();
  }
  return { ...numbersOf(learner.state), losses: learner.history.series.loss!, live, liveAfter: memory.live };
}

interface TrainOptions {
  readonly accumulate?: number;
  readonly folder?: string;
}

/** The head alone, then everything: parameters without gradients, also within a segment. */
async function tune(opener: typeof open): Promise<Numbers & { readonly gradients: Float32Array }> {
  const splitter = splitByPrefix(['body', 'norm'], ['middle']);
  const learner = await createLearner(spiralOptions({ open: opener, splitter }));
  await learner.fineTune(1, { baseLr: 0.02 });
  await learner.freeze();
  await learner.fit(1, 0.01);
  await learner.close();
  return { ...numbersOf(learner.state), gradients: learner.state.grads };
}

const stopAt = (epoch: number, batch: number): Callback => ({
  name: 'stopAt',
  numbers: [],
  afterBatch: ({ progress, stop }) => {
    if (progress.epoch === epoch && progress.batch === batch) stop();
  },
});

/** Callbacks that read and write the numbers; one of them does not state which. */
function meddling(): readonly Callback[] {
  const halve: Callback = {
    name: 'halve',
    afterGradients: ({ state }) => {
      for (let i = 0; i < state.grads.length; i++) state.grads[i]! *= 0.5;
      if (state.step === 3) state.params[0]! += 0.25;
    },
  };
  return [gradientClip(0.5), ema({ decay: 0.9 }), halve];
}

/** Many steps of a net of 0.15 MB: what is not disposed of shows. */
async function long(steps: number): Promise<Long> {
  const memory = await memoryHere();
  const [n, width] = [4, 192];
  const step = await compileStep(
    {
      name: 'long',
      inputs: ['x', 'y'].map((name) => ({ name, dtype: 'float32', shape: [n, width] })),
      forward: (scope, { x, y }) => ({
        loss: mseLoss(
          scope.in('one', (s) => linear(s, x!, width)),
          y!,
        ),
      }),
    },
    open,
  );
  const state = createState(step.graphs.specs, { optimizer: adamw });
  initState(state, 1);
  const optimizer = await compileOptimizer(adamw, state, open);
  const values = Array.from({ length: n * width }, (_, i) => Math.sin(i));
  const batch = { x: f32([n, width], values), y: f32([n, width], values.toReversed()) };
  const [live, losses, rss]: number[][] = [[], [], []];
  await keepResident(state, async () => {
    for (let i = 0; i < steps; i++) {
      losses!.push(await step.gradients(state, batch));
      await optimizer.update(state, { lr: 1e-3 });
      live!.push(memory.live);
      if (i === 299) rss!.push(process.memoryUsage.rss());
    }
    rss!.push(process.memoryUsage.rss());
  });
  await Promise.all([step.release(), optimizer.release()]);
  const replaced = 4 * 4 * state.params.length;
  return { live: live!, liveAfter: memory.live, rss: rss as unknown as Long['rss'], replaced, losses: losses! };
}

/** Whether sessions that are opened alike share a memory, and others do not. */
async function sharing(): Promise<readonly boolean[]> {
  const memoryWith = (options: OpenOptions) =>
    memoryOf((model) => openSession(model, { device: 'webgpu', strict: true, ...options }));
  const one = await memoryWith({ threads: 1 });
  const others = [{ threads: 1 }, { threads: 2 }, { threads: 1, spin: false }, { threads: 1, strict: false }];
  const same: boolean[] = [];
  for (const options of others) same.push((await memoryWith(options)) === one);
  return same;
}

/** What the test may ask for. */
export const requests = {
  sharing,
  resident: () => train(open, []),
  hosted: () => train(openHosted, []),
  'resident, meddled with': () => train(open, meddling(), { accumulate: 2 }),
  'hosted, meddled with': () => train(openHosted, meddling(), { accumulate: 2 }),
  'resident, head first': () => tune(open),
  'hosted, head first': () => tune(openHosted),
  /** The first, stopped twice: in the middle of an epoch, and at its end. */
  resumed: async (folder: string) => {
    await train(open, [stopAt(0, 3)], { folder });
    await train(open, [stopAt(1, 2)], { folder });
    return train(open, [], { folder });
  },
  long: (steps: string) => long(Number(steps)),
} as const;
export type Request = { readonly name: keyof typeof requests; readonly argument?: string };

const send = (message: unknown): Promise<void> => new Promise((resolve) => process.send!(message, () => resolve()));
const textOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));

process.on('message', async ({ name, argument = '' }: Request) => {
  const answer = (requests[name] as (argument: string) => Promise<unknown>)(argument);
  await answer.then(
    (value) => send({ answer: value }),
    (error: unknown) => send({ failure: textOf(error) }),
  );
});
process.once('disconnect', () => process.exit());
await memoryHere().then(
  () => send({ answer: 'ready' }),
  (error: unknown) => send({ failure: textOf(error) }),
);
