import { z } from 'zod';
import { ensure, FettleError } from '../../core/errors.ts';
import { explainError } from '../../core/explain.ts';
import type { Image } from '../../core/image.ts';
import { paintPolygon, paintRle } from './rle.ts';

const whole = z.int().min(0);
const side = z.int().min(1).max(65535);
const rle = z.object({ size: z.tuple([side, side]), counts: z.union([z.string(), z.array(whole)]) });
const cocoFile = z.object({
  images: z.array(z.object({ id: whole, file_name: z.string().min(1), width: side, height: side })),
  categories: z
    .array(z.object({ id: whole, name: z.string().min(1) }))
    .min(1)
    .max(254),
  annotations: z.array(
    z.object({
      image_id: whole,
      category_id: whole,
      segmentation: z.union([z.array(z.array(z.number())), rle]),
    }),
  ),
});

/** The masks of a COCO file. */
export interface CocoMasks {
  /** `background`, then the categories in the order of their ids. */
  readonly classes: readonly string[];
  /** Names of the pictures. */
  readonly names: readonly string[];
  /** Class ids of a picture's pixels, one channel u8; what comes later in the file lies on top. Throws `not-found`. */
  maskOf(name: string): Image;
}

/** parseJson: the content of a file of JSON, whose path is `where`. Throws `bad-data` when it is not valid JSON. */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FettleError('bad-data', `${where}: expected JSON, got ${(cause as Error).message}`, { cause });
  }
}

/** parseCoco: the text of a COCO file of instances, polygons and run lengths -> a mask for each of its pictures. Throws `bad-data`. */
export function parseCoco(text: string, where = 'coco'): CocoMasks {
  const value = parseJson(text, where);
  const parsed = cocoFile.safeParse(value);
  ensure(parsed.success, 'bad-data', () => `${where}: expected COCO's form: ${explainError(parsed.error!, value)}`);
  const { images, annotations } = parsed.data;
  const categories = parsed.data.categories.toSorted((a, b) => a.id - b.id);
  const idOf = new Map(categories.map(({ id }, i) => [id, i + 1]));
  const byName = new Map(images.map((image) => [image.file_name, image]));
  const unknown = annotations.find(({ category_id }) => !idOf.has(category_id));
  ensure(unknown === undefined, 'bad-data', () => {
    return `${where}: expected categories ${[...idOf.keys()]}, got ${unknown!.category_id}`;
  });
  const maskOf = (name: string): Image => {
    const image = byName.get(name);
    ensure(image !== undefined, 'not-found', () => `${where}: expected a picture of it, got '${name}'`);
    const { id, width, height } = image;
    const data = new Uint8Array(width * height);
    for (const { image_id, category_id, segmentation } of annotations) {
      if (image_id !== id) continue;
      const own = idOf.get(category_id)!;
      if ('counts' in segmentation) {
        const [high, wide] = segmentation.size;
        ensure(high === height && wide === width, 'bad-data', () => {
          return `${where}: expected run lengths of the size [height, width] = [${height}, ${width}] for ${name}, got [${high}, ${wide}]`;
        });
        paintRle(data, segmentation, own);
      } else for (const polygon of segmentation) paintPolygon(data, { width, height }, polygon, own);
    }
    return { width, height, channels: 1, data };
  };
  return { classes: ['background', ...categories.map(({ name }) => name)], names: [...byName.keys()], maskOf };
}
