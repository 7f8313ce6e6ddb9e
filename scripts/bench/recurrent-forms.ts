/*
 * Forms of a recurrent layer in a training step, forward and backward, on the CPU: each in a process of its own, so that peak
 * memory is its own, and all in turn, so that a busy minute of the machine hits all alike.
 *
 *     npm run build:ts && node dist/scripts/bench/recurrent-forms.js [--threads 2] [--rounds 3] [--seconds 2]
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { plainRecurrent } from '../../test/helpers/plain-recurrent.ts';
import { createRng } from '../../training/core/rng.ts';
import { sizeOf, tensor, zeros } from '../../training/core/tensor.ts';
import { type Cell, gruCell, lstmCell } from '../../training/nn/cells.ts';
import { uniformInit } from '../../training/nn/init.ts';
import * as nn from '../../training/nn/layers.ts';
import { loop, Sequence } from '../../training/nn/loop.ts';
import { type Kept, type RecurrentLayer, recurrentGradients } from '../../training/nn/recurrent-layer.ts';
import { initialWeights, type Scope } from '../../training/nn/scope.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import type { Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { buildStep, type Task } from '../../training/step/train-step.ts';
import { benchOptions } from './options.ts';
import { machine, median, peakMb } from './race.ts';

interface Net {
  readonly kind: 'gru' | 'lstm';
  readonly dims: readonly [number, number, number];
  readonly hidden: number;
  readonly layers: number;
}
const nets: Readonly<Record<string, Net>> = {
  'GRU 64, 2 layers, 64 x 20': { kind: 'gru', dims: [64, 20, 64], hidden: 64, layers: 2 },
  'LSTM 400 to 1152, 32 x 70': { kind: 'lstm', dims: [32, 70, 400], hidden: 1152, layers: 1 },
};

/** What the forward loop would have kept, from the output alone: the gates again in one product, c by its recurrence. */
function recomputed(x: Value, y: Value, { cell, weights, start }: RecurrentLayer): Kept {
  const { input, hidden, inputBias, hiddenBias } = weights;
  const t = y.shape[0] as number;
  const before = o.concat([o.unsqueeze(start[0]!, [0]), o.slice(y, { axes: [0], starts: [0], ends: [t - 1] })], 0);
  const byInput = o.add(o.matmul(input, x), o.unsqueeze(cell.inputBias(inputBias, hiddenBias)!, [1]));
  const byState = o.matmul(hidden, before);
  const rows = (value: Value, parts: readonly number[]): readonly Value[] =>
    o.split(
      value,
      parts.map((part) => (part * (value.shape[1] as number)) / cell.gates),
      1,
    );
  const sequences = (values: readonly Value[]): Sequence[] => values.map((value) => Sequence.of(value));
  if (cell === gruCell) {
    const [xGates, xNew] = rows(byInput, [2, 1]);
    const [hGates, hNew] = rows(o.add(byState, o.unsqueeze(hiddenBias!, [1])), [2, 1]);
    const gates = o.sigmoid(o.add(xGates!, hGates!));
    const [reset] = o.split(gates, [y.shape[1] as number, y.shape[1] as number], 1);
    const fresh = o.tanh(o.add(xNew!, o.mul(reset!, hNew!)));
    return { y: Sequence.of(y), rest: sequences([gates, hNew!, fresh, before]) };
  }
  const [inputForget, fresh, last] = rows(o.add(byInput, byState), [2, 1, 1]);
  const kept = [o.sigmoid(inputForget!), o.tanh(fresh!), o.sigmoid(last!)];
  const [gate, forget] = o.split(kept[0]!, [y.shape[1] as number, y.shape[1] as number], 1);
  const { outputs } = loop(
    {
      sequences: sequences([o.mul(gate!, kept[1]!), forget!]),
      states: [start[1]!],
      shared: [],
      step: ([added, keep], [c]) => {
        const next = o.add(o.mul(keep!, c!), added!);
        return { states: [next], outputs: [o.tanh(next), c!] };
      },
    },
    'scan',
  );
  return { y: Sequence.of(y), rest: [...sequences(kept), ...outputs] };
}

/** ONNX's own operator forward; the way back as a Scan, from gates that are computed again. */
function fused(scope: Scope, x: Value, { kind, hidden, layers }: Net): Value {
  const cell: Cell = kind === 'gru' ? gruCell : lstmCell;
  const init = uniformInit(1 / Math.sqrt(hidden));
  let y = o.transpose(x, [1, 2, 0]);
  for (let l = 0; l < layers; l++) {
    const [, c, n] = y.shape as [number, number, number];
    const rows = cell.gates * hidden;
    const param = (name: string, shape: readonly number[]): Value => scope.param(`${name}_l${l}`, shape, init);
    const weights = {
      input: param('weight_ih', [rows, c]),
      hidden: param('weight_hh', [rows, hidden]),
      inputBias: param('bias_ih', [rows]),
      hiddenBias: param('bias_hh', [rows]),
    };
    const start = cell.states.map(() => o.expand(x.graph.scalar(0), [hidden, n]));
    const layer: RecurrentLayer = { cell, weights, start, form: 'scan' };
    const input = y;
    const [output] = x.graph.region(
      [input, weights.input, weights.hidden, weights.inputBias, weights.hiddenBias, ...start],
      () => [o.transpose(cell.onnx(o.transpose(input, [0, 2, 1]), weights, undefined, hidden).output, [0, 2, 1])],
      (dys, needs) => recurrentGradients(input, layer, recomputed(input, output!, layer), dys, needs),
    );
    y = output!;
  }
  return o.transpose(y, [2, 0, 1]);
}

const library = (scope: Scope, x: Value, { kind, hidden, layers }: Net): Value =>
  (kind === 'gru' ? nn.gru : nn.lstm)(scope, x, { hidden, layers }).output;

type Form = Pick<Task, 'loops'> & { readonly build: (scope: Scope, x: Value, net: Net) => Value };
const forms: Readonly<Record<string, Form>> = {
  'by rule': { build: (scope, x, { kind, hidden, layers }) => plainRecurrent(scope, x, kind, hidden, layers) },
  unrolled: { build: library },
  scan: { build: library, loops: 'scan' },
  'fused forward': { build: fused },
};

interface Report {
  readonly nodes: number;
  /** Building the graph, opening the session and the first step. */
  readonly readyMs: number;
  readonly bestMs: number;
  readonly medianMs: number;
  readonly peakMb: number;
  readonly loss: number;
  /** Sum of the absolute values of all gradients. */
  readonly gradients: number;
}

/** Measures one form, in this process. */
async function measure(net: Net, { build, loops }: Form, threads: number, seconds: number): Promise<Report> {
  const begin = performance.now();
  const task: Task = {
    name: 'recurrent',
    inputs: [{ name: 'x', dtype: 'float32', shape: net.dims }],
    forward: (scope, { x }) => {
      const y = build(scope, x!, net);
      return { loss: o.reduceMean(o.mul(y, y)) };
    },
    ...(loops === undefined ? {} : { loops }),
  };
  const { training, specs } = buildStep(task);
  const session = await openSession(toOnnx(training), { threads });
  const weights = initialWeights(specs, 1);
  const rng = createRng('recurrent-forms');
  const x = tensor(
    'float32',
    net.dims,
    Float32Array.from({ length: sizeOf(net.dims) }, () => rng.normal()),
  );
  const params = specs.map(({ name, shape }) => [name, tensor('float32', shape, weights.get(name)!)] as const);
  const feeds = { x, ...Object.fromEntries(params) };
  const results = training.outputs.map(
    ({ name, value }) => [name, zeros('float32', value.shape as readonly number[])] as const,
  );
  const fetches = Object.fromEntries(results);
  await session.run(feeds, fetches);
  const readyMs = performance.now() - begin;
  const times: number[] = [];
  for (const end = performance.now() + seconds * 1000; performance.now() < end || times.length < 5; ) {
    const start = performance.now();
    await session.run(feeds, fetches);
    times.push(performance.now() - start);
  }
  const gradients = results.reduce((sum, [, { data }]) => data.reduce((a, b) => a + Math.abs(b), sum), 0);
  const loss = fetches.loss!.data[0]!;
  const [bestMs, medianMs] = [Math.min(...times), median(times)];
  return { nodes: training.nodes.length, readyMs, bestMs, medianMs, peakMb: peakMb(), loss, gradients };
}

/** {@link measure} in a process of its own. */
function apart(args: readonly string[]): Promise<Report> {
  return new Promise((done, failed) => {
    const child = fork(fileURLToPath(import.meta.url), [...args]);
    child.once('message', (report) => done(report as Report));
    child.once('exit', (code) => failed(new Error(`recurrent-forms: a measurement ended with code ${code}`)));
  });
}

/** Throws unless all forms computed the same. */
function checkSame(name: string, first: Report, other: Report): void {
  for (const key of ['loss', 'gradients'] as const)
    if (Math.abs(first[key] - other[key]) > 1e-4 * Math.abs(first[key]))
      throw new Error(`recurrent-forms: expected the same ${key} of ${name}, got ${first[key]} and ${other[key]}`);
}

async function main(): Promise<void> {
  const { net, form, threads, seconds, rounds } = benchOptions({
    threads: 2,
    rounds: 3,
    seconds: 2,
    net: '',
    form: '',
  });
  if (net !== '' && form !== '') {
    process.send!(await measure(nets[net]!, forms[form]!, threads, seconds), () => process.exit());
    return;
  }
  process.stdout.write(`${JSON.stringify({ ...machine(), threads })}\n`);
  for (const name of Object.keys(nets)) {
    const reports = new Map<string, Report[]>(Object.keys(forms).map((key) => [key, []]));
    for (let round = 0; round < rounds; round++)
      for (const [key, all] of reports)
        all.push(await apart(['--net', name, '--form', key, '--threads', `${threads}`, '--seconds', `${seconds}`]));
    const first = [...reports.values()][0]![0]!;
    for (const [key, all] of reports) {
      checkSame(name, first, all[0]!);
      const least = (field: keyof Report): string =>
        Math.min(...all.map((report) => report[field])).toFixed(field === 'bestMs' ? 2 : 0);
      const middle = median(all.map(({ medianMs }) => medianMs)).toFixed(2);
      process.stdout.write(
        `${name}, ${key}: ${least('bestMs')} ms best, ${middle} median; ready after ${least('readyMs')} ms; ${least('peakMb')} MB peak; ${all[0]!.nodes} nodes\n`,
      );
    }
  }
}

await main();
