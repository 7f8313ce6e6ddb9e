import type { Image } from '../../../training/core/image.ts';
import type { Confusion } from '../../../training/learner/metrics.ts';
import { decodeRgb } from '../../../training/pictures/decode.node.ts';
import { readMask } from '../../../training/pictures/masks/mask-file.node.ts';
import type { MaskedItem } from '../folder.node.ts';
import { scoreOf } from '../score.node.ts';
import { shapeClasses } from './shapes-data.ts';

/*
 * What colours alone predict: a naive Bayes classifier of every pixel, on histograms of its own colour and of the mean colour about it.
 */

/** Steps of each channel in the histograms. */
const steps = 12;
const bins = steps ** 3;
/** The neighbourhood's mean is over (2 r + 1)^2 pixels. */
const radius = 4;

const binOf = (r: number, g: number, b: number): number =>
  (Math.floor((r * steps) / 256) * steps + Math.floor((g * steps) / 256)) * steps + Math.floor((b * steps) / 256);

/** Mean of each channel about each pixel, cut off at the sides. */
function blurred({ width, height, data }: Image): Float32Array {
  const out = new Float32Array(data.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const sum = [0, 0, 0];
      let count = 0;
      for (let v = Math.max(0, y - radius); v <= Math.min(height - 1, y + radius); v++)
        for (let u = Math.max(0, x - radius); u <= Math.min(width - 1, x + radius); u++) {
          for (let c = 0; c < 3; c++) sum[c]! += data[3 * (v * width + u) + c]!;
          count += 1;
        }
      for (let c = 0; c < 3; c++) out[3 * (y * width + x) + c] = sum[c]! / count;
    }
  return out;
}

/** The places of a picture's pixels in each of the histograms. */
function featuresOf(photo: Image): readonly Uint16Array[] {
  return [photo.data, blurred(photo)].map((values) =>
    Uint16Array.from({ length: values.length / 3 }, (_, i) =>
      binOf(values[3 * i]!, values[3 * i + 1]!, values[3 * i + 2]!),
    ),
  );
}

interface Seen {
  readonly features: readonly Uint16Array[];
  readonly ids: Uint8Array;
}

const seen = (items: readonly MaskedItem[]): Promise<readonly Seen[]> =>
  Promise.all(
    items.map(async ({ path, mask }) => ({
      features: featuresOf(await decodeRgb(path)),
      ids: (await readMask(mask)).data,
    })),
  );

const classes = shapeClasses.length;

/** log p(bin | class) of each histogram, with one pixel more in every bin, and the pixels of each class. */
function learn(pictures: readonly Seen[], features: readonly number[]) {
  const counts = new Float64Array(classes);
  for (const { ids } of pictures) for (const id of ids) counts[id]! += 1;
  const tables = features.map((f) => {
    const table = new Float64Array(classes * bins).fill(1);
    for (const picture of pictures)
      picture.ids.forEach((id, i) => {
        table[id * bins + picture.features[f]![i]!]! += 1;
      });
    return table.map((count, at) => Math.log(count / (counts[Math.floor(at / bins)]! + bins)));
  });
  return { counts, tables };
}

/** How often each class was taken for each, where a class's prior is its share^power. */
function test(
  pictures: readonly Seen[],
  features: readonly number[],
  { counts, tables }: ReturnType<typeof learn>,
  power: number,
): Confusion {
  const confusion: Confusion = { classes, counts: new Float64Array(classes * classes) };
  for (const { ids, features: own } of pictures)
    ids.forEach((id, i) => {
      const scores = Array.from(counts, (count, k) =>
        features.reduce((sum, f, t) => sum + tables[t]![k * bins + own[f]![i]!]!, power * Math.log(count)),
      );
      confusion.counts[id * classes + scores.indexOf(Math.max(...scores))]! += 1;
    });
  return confusion;
}

/**
 * colorScores: the classifier of the colour, and of colour and neighbourhood, learned from `known` and tested on `unseen`. In its
 * favour, of four priors the one that does best on the test is taken.
 */
export async function colorScores(
  known: readonly MaskedItem[],
  unseen: readonly MaskedItem[],
): Promise<readonly (readonly [name: string, confusion: Confusion])[]> {
  const [learned, tested] = [await seen(known), await seen(unseen)];
  const kinds = [
    ['colour of the pixel', [0]],
    ['colour of the pixel and about it', [0, 1]],
  ] as const;
  return kinds.map(([name, features]) => {
    const model = learn(learned, features);
    const tries = [0, 0.25, 0.5, 1].map((power) => test(tested, features, model, power));
    return [name, tries.toSorted((a, b) => scoreOf(b).meanIou - scoreOf(a).meanIou)[0]!] as const;
  });
}
