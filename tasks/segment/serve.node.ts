import { decode, encode, type PictureInfo } from '../../server/serve/images.ts';
import type { FileResult, JobHooks, JobOf, TaskRow } from '../../server/serve/task.ts';
import type { Image } from '../../training/core/image.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import { encodePaletteIds } from '../../training/pictures/masks/palette-png.node.ts';
import { encodeRles } from '../../training/pictures/masks/rle.ts';
import { inColour } from '../../training/pictures/transforms/opaque.ts';
import type { Session } from '../../training/run/session.ts';
import { specOf } from '../config.ts';
import type { SegmentBody, SegmentClass, SegmentModelSpec, SegmentQuery } from './contract.ts';
import { segmentContract } from './contract.ts';
import { type RunProbabilities, segmentPicture } from './infer.ts';

/** A session and its contract -> what segmentPicture calls for each tile. */
export const probabilitiesOf =
  (session: Session, { inputName, outputName }: SegmentModelSpec): RunProbabilities =>
  async (input) =>
    (await session.run({ [inputName]: input }))[outputName] as Tensor<'float32'>;

/** Lays the classes' colours over the picture's, in place. */
function colour({ data, channels }: Image, ids: Image, classes: readonly SegmentClass[], opacity: number): void {
  for (let i = 0, at = 0; i < ids.data.length; i++, at += channels) {
    const { color } = classes[ids.data[i]!]!;
    for (let c = 0; c < 3; c++) data[at + c] = Math.round(data[at + c]! + (color[c]! - data[at + c]!) * opacity);
  }
}

/** segmentBody: class ids -> every class with its share of the pixels and where they are. */
export function segmentBody(ids: Image, classes: readonly SegmentClass[]): SegmentBody {
  const { width, height, data } = ids;
  const counts = new Float64Array(classes.length);
  for (let i = 0; i < data.length; i++) counts[data[i]!]! += 1;
  const rles = encodeRles(data, ids, classes.length);
  const shares = classes.map(({ name, color }, id) => {
    return { id, name, color, share: counts[id]! / data.length, rle: rles[id]! };
  });
  return { width, height, classes: shares };
}

function answer(
  image: Image,
  ids: Image,
  { classes }: SegmentModelSpec,
  info: PictureInfo,
  { output, opacity }: SegmentQuery,
): Uint8Array | Promise<Uint8Array> {
  if (output === 'json') return Buffer.from(JSON.stringify(segmentBody(ids, classes)));
  if (output === 'mask')
    return encodePaletteIds(
      ids,
      classes.map(({ color }) => color),
    );
  colour(image, ids, classes, opacity);
  return encode(image, info, { scale: 1, format: 'png', quality: 90, metadata: 'keep' });
}

/** Decode, give every pixel its class, encode, with the time of each. */
async function run(
  { bytes, info, query }: JobOf<'segment'>,
  session: Session,
  spec: SegmentModelSpec,
  hooks: JobHooks,
): Promise<FileResult> {
  const start = performance.now();
  const image = inColour(await decode(bytes));
  const decoded = performance.now();
  const ids = await segmentPicture(image, spec, probabilitiesOf(session, spec), hooks);
  const computed = performance.now();
  const file = await answer(image, ids, spec, info, query);
  const timings = { decode: decoded - start, model: computed - decoded, encode: performance.now() - computed };
  return { file, width: ids.width, height: ids.height, timings };
}

export const segmentTask: TaskRow<'segment'> = {
  specOf: (config) => specOf(segmentContract, config),
  check: () => undefined,
  trialDims: ({ classes }) => ({ input: [1, 3, 64, 72], output: [1, classes.length, 64, 72] }),
  run,
};
