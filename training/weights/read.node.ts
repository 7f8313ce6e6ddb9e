import { readFile } from 'node:fs/promises';
import { FettleError } from '../core/errors.ts';
import { readWeights, type WeightFile } from './read.ts';

/** The weights of a file: .safetensors, .pth or .onnx. Throws `not-found` and what {@link readWeights} throws. */
export async function readWeightsFile(path: string): Promise<WeightFile> {
  const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    const code = cause.code === 'ENOENT' ? 'not-found' : 'bad-argument';
    throw new FettleError(code, `weights: expected a file of up to 2 GiB at ${path}, got ${cause}`, { cause });
  });
  return readWeights(bytes, path);
}
