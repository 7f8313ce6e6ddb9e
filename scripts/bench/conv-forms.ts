/*
 * What the forms of a training convolution cost on this machine, by shape: ONNX Runtime's Conv and the product that replaces it
 * for tiny pictures, forward and backward; and every form of the filter's gradient. The limits in training/nn/conv-tiny.ts
 * and training/grad/conv-filter.ts come from this table. An asterisk is the form that is taken.
 *
 *     npm run build:ts && node dist/scripts/bench/conv-forms.js [--rounds 20] [--threads 2] [N,C,K,H,kernel,stride,padding ...]
 */
import { sizeOf, type Tensor } from '../../training/core/tensor.ts';
import { backward } from '../../training/grad/backward.ts';
import { filterForm, filterForms } from '../../training/grad/conv-filter.ts';
import { isTiny, tinyConv } from '../../training/nn/conv-tiny.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import { Graph, type Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import type { ConvGeometry } from '../../training/ops/conv-parts.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { benchOptions } from './options.ts';

/** The lesson's MNIST net, the restore U-Net, ResNet-18 at 128 px, a super-resolution net. */
const shapes = [
  '128,1,8,28,3,2,1 128,8,8,14,3,1,1 128,8,16,14,3,2,1 128,16,16,7,3,1,1 128,16,32,7,3,2,1 128,32,32,4,3,1,1 128,16,16,2,3,1,1',
  '8,16,16,128,3,1,1 8,32,32,64,3,1,1 8,64,64,32,3,1,1 8,128,128,16,3,1,1 8,3,32,128,4,2,1',
  '16,3,64,128,7,2,3 16,64,64,32,3,1,1 16,64,128,32,3,2,1 16,128,128,16,3,1,1 16,256,256,8,3,1,1 16,256,512,8,3,2,1 16,512,512,4,3,1,1',
  '8,64,64,72,3,1,1',
].flatMap((line) => line.split(' '));

const waves = (dims: readonly number[]): Tensor<'float32'> => ({
  dtype: 'float32',
  dims,
  data: Float32Array.from({ length: sizeOf(dims) }, (_, i) => Math.sin(0.37 * i)),
});

interface Options {
  readonly rounds: number;
  readonly threads: number;
}

/** Best milliseconds of a graph from inputs of these shapes to one or more outputs. */
async function bestMs(
  dims: readonly (readonly number[])[],
  build: (...inputs: Value[]) => readonly Value[],
  { rounds, threads }: Options,
): Promise<number> {
  const graph = new Graph('form');
  const inputs = dims.map((shape, i) => graph.input(`x${i}`, 'float32', shape));
  build(...inputs).forEach((value, i) => {
    graph.output(`y${i}`, value);
  });
  const session = await openSession(toOnnx(graph), { threads });
  const feeds = Object.fromEntries(dims.map((shape, i) => [`x${i}`, waves(shape)]));
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    await session.run(feeds);
    best = Math.min(best, performance.now() - start);
  }
  await session.release();
  return best;
}

async function measure(spec: string, options: Options): Promise<void> {
  const [n, c, k, size, kernel, stride, padding] = spec.split(',').map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const out = Math.floor((size + 2 * padding - kernel) / stride) + 1;
  const geometry: ConvGeometry = {
    kernel: [kernel, kernel],
    strides: [stride, stride],
    dilations: [1, 1],
    pads: [padding, padding, padding, padding],
    groups: 1,
  };
  const [x, w, dy] = [
    [n, c, size, size],
    [k, c, kernel, kernel],
    [n, k, out, out],
  ];
  const tiny = { stride: geometry.strides, dilation: geometry.dilations, padding: geometry.pads };
  const layer = (form: (input: Value, filter: Value) => Value): Promise<number> =>
    bestMs([x, w, dy], (input, filter, given) => stepOf(form(input!, filter!), [input!, filter!], given!), options);
  const probe = new Graph('probe');
  const [px, pw] = [probe.input('x', 'float32', x), probe.input('w', 'float32', w)];
  const asTiny = isTiny(px, pw, tiny);
  const cells = [
    `Conv${asTiny ? '' : '*'} ${(await layer((a, b) => o.conv(a, b, undefined, { stride, padding }))).toFixed(2)}`,
  ];
  if (out <= 7) cells.push(`tiny${asTiny ? '*' : ''} ${(await layer((a, b) => tinyConv(a, b, tiny))).toFixed(2)}`);
  const chosen = filterForm(probe.input('dy', 'float32', dy), px, geometry);
  const gradients: string[] = [];
  for (const [name, form] of Object.entries(filterForms)) {
    if (!applies(name, stride, kernel, size, out)) continue;
    const ms = await bestMs([dy, x], (given, input) => [form(given!, input!, geometry)], options);
    gradients.push(`${name}${name === chosen ? '*' : ''} ${ms.toFixed(2)}`);
  }
  process.stdout.write(`${spec}: layer ${cells.join(', ')}; filter's gradient ${gradients.join(', ')} ms\n`);
}

/** Result and both gradients. */
function stepOf(y: Value, inputs: readonly Value[], dy: Value): readonly Value[] {
  const grads = backward(o.reduceSum(o.mul(y, dy)), inputs);
  return [y, ...inputs.map((input) => grads.get(input)!)];
}

/** Whether a form of the gradient is made for the shape at all. */
function applies(form: string, stride: number, kernel: number, size: number, out: number): boolean {
  if (form === 'shifts') return stride === 1 && size === out;
  if (form === 'phaseShifts') return stride === 2 && out === Math.ceil(size / 2) && kernel > 1;
  if (form === 'phaseTaps') return stride === 2 && kernel > 2;
  return true;
}

const { rows, rounds, threads } = benchOptions({ rounds: 20, threads: 2 });
for (const spec of rows.length > 0 ? rows : shapes) await measure(spec, { rounds, threads });
