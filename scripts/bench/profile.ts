/*
 * Where the time of a training step's graph goes, by ONNX Runtime's own profile on the CPU: milliseconds of a run and nodes per run, by
 * operator or, with --shapes, by operator and shapes of its inputs.
 *
 *     npm run build:ts && node dist/scripts/bench/profile.js ROW [--runs 12] [--threads 2] [--top 20] [--shapes]
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { toOnnx } from '../../training/onnx/export.ts';
import { adam } from '../../training/optim/optimizers.ts';
import { createState, initState } from '../../training/step/state.ts';
import { buildStep } from '../../training/step/train-step.ts';
import { benchOptions, inFolder } from './options.ts';
import { type StepRow, stepRows } from './step-rows.ts';

/** What is read of an event of the profile. */
interface Event {
  readonly cat: string;
  readonly name: string;
  /** Microseconds. */
  readonly dur: number;
  readonly args?: {
    readonly op_name?: string;
    readonly input_type_shape?: readonly Readonly<Record<string, readonly number[]>>[];
  };
}

const defaults = { runs: 12, threads: 2, top: 20, shapes: false };
const { rows: names, runs, threads, top, shapes: byShape } = benchOptions(defaults, Object.keys(stepRows));
const name = names[0]!;

/** Runs the row's training graph and returns the profile's events. */
async function profile(row: StepRow, folder: string): Promise<readonly Event[]> {
  const { training, specs } = buildStep(row.task);
  const session = await InferenceSession.create(toOnnx(training), {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    logSeverityLevel: 4,
    enableMemPattern: false,
    enableProfiling: true,
    profileFilePrefix: join(folder, 'profile'),
  });
  const state = createState(specs, { optimizer: adam });
  initState(state, 1);
  const feeds = Object.fromEntries(
    session.inputNames.map((name) => {
      const { dtype, data, dims } = (row.batch[name] ?? state.tensors.get(name))!;
      return [name, new Tensor(dtype, data as never, dims)];
    }),
  );
  for (let run = 0; run < runs; run++) await session.run(feeds);
  session.endProfiling();
  await session.release();
  return JSON.parse(readFileSync(join(folder, readdirSync(folder)[0]!), 'utf8')) as Event[];
}

await inFolder(async (folder) => {
  const totals = new Map<string, { us: number; count: number }>();
  for (const { cat, name: node, dur, args } of await profile(stepRows[name]!(), folder)) {
    if (cat !== 'Node' || !node.endsWith('_kernel_time')) continue;
    const shapes = (args?.input_type_shape ?? []).map((one) => Object.values(one)[0]!.join('x')).join(' ');
    const key = byShape ? `${args?.op_name} ${shapes}` : `${args?.op_name}`;
    const { us, count } = totals.get(key) ?? { us: 0, count: 0 };
    totals.set(key, { us: us + dur, count: count + 1 });
  }
  const rows = [...totals].sort(([, a], [, b]) => b.us - a.us);
  const whole = rows.reduce((sum, [, { us }]) => sum + us, 0);
  process.stdout.write(`${name}: ${(whole / runs / 1000).toFixed(1)} ms in kernels\n`);
  for (const [key, { us, count }] of rows.slice(0, top))
    process.stdout.write(
      `${(us / runs / 1000).toFixed(2).padStart(8)} ms ${((100 * us) / whole).toFixed(0).padStart(3)} % ${String(Math.round(count / runs)).padStart(5)} nodes  ${key}\n`,
    );
});
