import type { Image } from '../../training/core/image.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import type { Learner } from '../../training/learner/learner.ts';
import { type Metric, meanMetric } from '../../training/learner/metrics.ts';
import type { Batch, Loader } from '../../training/learner/options.ts';
import type { OpenGraph } from '../../training/loop/compile.ts';
import { psnr } from '../../training/pictures/quality.ts';
import type { Size } from '../../training/pictures/sizes.ts';
import { imageOfPlanes, type Scale, sampleWindow } from '../../training/pictures/transforms/pixels.ts';
import type { ImageModelSpec } from '../pictures.ts';
import type { HeldOut, ValidationPair } from './held-out.node.ts';
import { restorePicture } from './infer.ts';

/* How well whole pictures are restored: the validation set of a learner, its metrics, and pictures to look at. */

/** A damaged copy has the target's size or half of it. */
const scaleOf = ({ damaged, target }: ValidationPair): Scale => (damaged.width < target.width ? 2 : 1);

/** How near `shown` is to the target, in dB; 100 stands for no error at all, which would spoil a mean. */
const psnrOf = (shown: Image, { target }: ValidationPair): number => Math.min(psnr(shown, target), 100);

/** One whole picture, padded to sizes that the network takes. Where y is x, it is undamaged. */
interface WholeBatch extends Batch {
  readonly pair: ValidationPair;
}

/** x and y f32[1,3,H,W] 0..1 of a pair: the damaged picture enlarged bilinearly to the target's size, and the target. */
function wholeBatch(pair: ValidationPair, multiple: number): WholeBatch {
  const { target, damaged } = pair;
  const up = (size: number): number => Math.ceil(size / multiple) * multiple;
  const padded = { x: 0, y: 0, width: up(target.width), height: up(target.height) };
  const tensorOf = (image: Image): Tensor => {
    const scale = image === damaged ? scaleOf(pair) : 1;
    return { dtype: 'float32', dims: [1, 3, padded.height, padded.width], data: sampleWindow(image, scale, padded) };
  };
  return { pair, x: tensorOf(damaged), y: tensorOf(target) };
}

/** The held-out pictures one by one, each damaged and then undamaged. */
export const wholePictures = (held: readonly HeldOut[], multiple: number): Loader => ({
  batchesPerEpoch: 2 * held.length,
  async *epoch() {
    for (const { pair } of held) {
      const batch = wholeBatch(pair, multiple);
      yield batch;
      yield { ...batch, x: batch.y };
    }
  },
});

/** The loss is a mean over the damaged pictures, whatever their sizes. */
export const countDamaged = (_y: Tensor, { x, y }: Batch): number => (x === y ? 0 : 1);

/** What a padded tensor f32[1,3,H,W] 0..1 shows, 8 bit. */
const pictureOf = ({ dims, data }: Pick<Tensor, 'dims' | 'data'>, size: Size): Image =>
  imageOfPlanes(data as Float32Array, { width: dims.at(-1)!, height: dims.at(-2)! }, size);

/** A mean over the damaged or the undamaged pictures of {@link psnrOf}. */
const psnrMetric = (name: string, undamaged: boolean, shown: (prediction: Tensor, batch: Batch) => Tensor): Metric =>
  meanMetric(name, (prediction, _, batch) => {
    const { pair, ...tensors } = batch as WholeBatch;
    if ((tensors.x === tensors.y) !== undamaged) return { sum: 0, count: 0 };
    return { sum: psnrOf(pictureOf(shown(prediction, tensors), pair.target), pair), count: 1 };
  });

/** PSNR (dB, RGB 8 bit) of what is restored, of the input, and of undamaged photos restored. */
export const restoreMetrics: readonly Metric[] = [
  psnrMetric('psnr', false, (prediction) => prediction),
  psnrMetric('input_psnr', false, (_, { x }) => x),
  psnrMetric('undamaged_psnr', true, (prediction) => prediction),
];

/** scoreRestore: mean PSNR (dB, RGB 8 bit; 100 at most for each) of the damaged held-out pictures, restored as they would be served. */
export async function scoreRestore(
  { model, spec }: { readonly model: Uint8Array; readonly spec: ImageModelSpec },
  held: readonly HeldOut[],
  open: OpenGraph,
): Promise<number> {
  const session = await open(model);
  let sum = 0;
  try {
    for (const { pair } of held) sum += psnrOf(await restorePicture(pair.damaged, scaleOf(pair), spec, session), pair);
  } finally {
    await session.release();
  }
  return sum / held.length;
}

/** Input, restored and target of a pair. */
export async function restorePair(learner: Learner, pair: ValidationPair, multiple: number): Promise<readonly Image[]> {
  const { x } = wholeBatch(pair, multiple);
  const restored = await learner.predict({ ...x, dims: x.dims.slice(1) });
  return [pictureOf(x, pair.target), pictureOf(restored, pair.target), pair.target];
}
