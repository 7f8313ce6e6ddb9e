import { decode, encode, type PictureInfo } from '../../server/serve/images.ts';
import { type FileResult, greyTrial, inStages, type ServedPictureTask, sendFile } from '../../server/serve/task.ts';
import type { Image } from '../../training/core/image.ts';
import { encodePaletteIds } from '../../training/pictures/masks/palette-png.node.ts';
import { encodeRles } from '../../training/pictures/masks/rle.ts';
import { inColour } from '../../training/pictures/transforms/opaque.ts';
import {
  type SegmentBody,
  type SegmentClass,
  type SegmentModelSpec,
  type SegmentQuery,
  segmentContract,
} from './contract.ts';
import { probabilitiesOf, segmentPicture } from './infer.ts';

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
  return encode(image, info, { format: 'png', quality: 90, metadata: 'keep' });
}

/** `POST /v1/segment`: a picture in, the class of every pixel out. */
export const segmentTask: ServedPictureTask<typeof segmentContract, FileResult> = {
  kind: 'picture',
  contract: segmentContract,
  trial: (spec) => greyTrial(spec, [1, 3, 64, 72], [1, spec.classes.length, 64, 72]),
  run: ({ bytes, info, query }, session, spec, hooks) =>
    inStages(
      async () => inColour(await decode(bytes)),
      (image) => segmentPicture(image, spec, probabilitiesOf(session, spec), hooks),
      async (ids, image) => {
        const { width, height } = ids;
        return { file: await answer(image, ids, spec, info, query), width, height };
      },
    ),
  reply: (response, { result }, { output }) =>
    sendFile(response, output === 'json' ? 'application/json' : 'image/png', result.file),
};
