import { FettleError, messageOf } from '../core/errors.ts';
import type { Image } from '../core/image.ts';
import { createRng } from '../core/rng.ts';
import { type Tensor, tensor } from '../core/tensor.ts';
import type { Statistics } from '../pictures/transforms/normalise.ts';
import { itemDecoder } from './decode.node.ts';
import { type SampleSpec, writeSample, xDims, xLength, yLength } from './sample.ts';

/** What is needed to read a picture as loaders do; they have it. */
export interface ReadContext {
  readonly spec: SampleSpec;
  readonly statistics: Statistics | undefined;
}

/**
 * readItem: one picture, a file or one in memory, as the validation part of a data block would give it -> x f32[C,H,W], for
 * `learner.predict`. It needs no label. Throws `bad-data` when it cannot be read.
 */
export async function readItem({ spec, statistics }: ReadContext, source: string | Image): Promise<Tensor<'float32'>> {
  const decode = itemDecoder(spec, 0);
  const item = await decode({ name: 'item', source, target: [] }).catch((cause: unknown) => {
    const reason = messageOf(cause);
    const file = typeof source === 'string' ? source : 'memory';
    throw new FettleError('bad-data', `readItem: expected a picture in ${file}, got none: ${reason}`, { cause });
  });
  const views = { x: new Float32Array(xLength(spec)), y: new Float32Array(yLength(spec)) };
  writeSample(item, spec, 'valid', createRng('item'), views, statistics);
  return tensor('float32', xDims(spec), views.x);
}
