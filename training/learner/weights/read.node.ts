import { readFile } from 'node:fs/promises';
import { FettleError } from '../../core/errors.ts';
import { readWeights, type WeightFile } from './read.ts';

/** The weights of a file: .safetensors, .pth or .onnx. Throws `not-found` and what {@link readWeights} throws. */
export async function readWeightsFile(path: string): Promise<WeightFile> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new FettleError('not-found', `weights: expected a file at ${path}, got ${cause}`, { cause });
  });
  return readWeights(bytes, path);
}
