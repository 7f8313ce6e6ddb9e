import { FettleError } from '../core/errors.ts';
import type { Tensor } from '../core/tensor.ts';
import { readOnnx } from './onnx.ts';
import { readSafetensors } from './safetensors.ts';
import { readTorchLegacy, readTorchZip } from './torch.ts';

export type WeightFormat = 'safetensors' | 'torch' | 'onnx';

/** The weights of a file. */
export interface WeightFile {
  /** Named in reports and errors. */
  readonly name: string;
  readonly format: WeightFormat;
  /**
   * By the file's own names. 16-bit floats are widened to float32, small integers to int32. Tensors may share memory with the
   * bytes they were read from, and with each other.
   */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

const startsWith = (bytes: Uint8Array, ...start: readonly number[]): boolean =>
  start.every((byte, i) => bytes[i] === byte);

type Read = (bytes: Uint8Array, what: string) => Map<string, Tensor>;

/** The format that the first bytes show, and its reader. */
function readerOf(bytes: Uint8Array): readonly [WeightFormat, Read] | undefined {
  // A length of at most 100 MB in eight bytes, then a brace.
  if (bytes[8] === 0x7b && bytes.subarray(4, 8).every((byte) => byte === 0)) return ['safetensors', readSafetensors];
  if (startsWith(bytes, 0x50, 0x4b)) return ['torch', readTorchZip];
  if (startsWith(bytes, 0x80)) return ['torch', readTorchLegacy];
  // Field 1, a varint: ir_version.
  return startsWith(bytes, 0x08) ? ['onnx', readOnnx] : undefined;
}

/**
 * Weights from the bytes of a .safetensors, a .pth or .pt of torch.save, or an .onnx file, known by its first bytes; `name` is stated in
 * errors. Nothing in the file is executed. Throws `bad-checkpoint`, `bad-model`, `unsupported`.
 */
export function readWeights(bytes: Uint8Array, name = 'weights'): WeightFile {
  const found = readerOf(bytes);
  if (found === undefined)
    throw new FettleError(
      'unsupported',
      `${name}: expected weights as .safetensors, .pth (torch.save) or .onnx, got a file of another kind`,
    );
  const [format, read] = found;
  return { name, format, tensors: read(bytes, name) };
}
