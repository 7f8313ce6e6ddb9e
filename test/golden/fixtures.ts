import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootDir } from '../../scripts/repo/source-files.ts';
import { f32, sizeOf, type Tensor } from '../../training/core/tensor.ts';

/** Where a tensor lies in golden.bin; `offset` in elements. */
interface Ref {
  readonly dims: readonly number[];
  readonly offset: number;
}
type Refs = Readonly<Record<string, Ref>>;

/** A function's values and gradients, or (with `steps`) an optimiser's path; see make_fixtures.py. */
export interface GoldenCase {
  readonly name: string;
  readonly op: string;
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly inputs: Refs;
  readonly outputs?: Refs;
  readonly dy?: Refs;
  readonly grads?: Refs;
  readonly steps?: readonly { readonly loss: number; readonly params: Refs }[];
}

export type NamedTensors = Readonly<Record<string, Tensor<'float32'>>>;

const folder = join(rootDir, 'test', 'fixtures', 'golden');

/** Every case that PyTorch computed for us. */
export const goldenCases = (JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')) as { cases: GoldenCase[] })
  .cases;

const bytes = readFileSync(join(folder, 'golden.bin'));
const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));

const load = ({ dims, offset }: Ref): Tensor<'float32'> => f32(dims, values.subarray(offset, offset + sizeOf(dims)));

/** The tensors of one group of a case; empty when the case has none. */
export const tensorsOf = (refs: Refs = {}): NamedTensors =>
  Object.fromEntries(Object.entries(refs).map(([name, ref]) => [name, load(ref)]));

/** Largest |a - b| as a share of the largest |b|; NaN anywhere gives NaN. Axes of size 1 do not count in comparing dims. */
export function relativeError(a: Tensor, b: Tensor<'float32'>): number {
  const wide = (dims: readonly number[]): string => dims.filter((dim) => dim !== 1).join();
  if (wide(a.dims) !== wide(b.dims)) throw new RangeError(`expected dims [${b.dims}], got [${a.dims}]`);
  let worst = 0;
  let scale = 0;
  b.data.forEach((value, i) => {
    worst = Math.max(worst, Math.abs(Number(a.data[i]) - value));
    scale = Math.max(scale, Math.abs(value));
  });
  return worst / (scale || 1);
}

/** The largest of the errors that a suite measures, and where: what docs/results.md states beside the bound. */
export function largestSeen() {
  let [worst, place] = [0, 'nothing measured'];
  return {
    /** Returns `error` as it is. */
    note(error: number, where: string): number {
      if (!(error <= worst)) [worst, place] = [error, where];
      return error;
    },
    text: (): string => `largest error ${worst.toExponential(1)} (${place})`,
  };
}
