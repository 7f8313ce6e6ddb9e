import { z } from 'zod';
import { normalisation, side } from '../pictures.ts';
import { contract } from '../task.ts';

const colorByte = z.int().min(0).max(255);

/** A class; its id is its place in the list. */
const segmentClass = z
  .object({
    name: z.string().min(1),
    /** RGB 0..255. */
    color: z.tuple([colorByte, colorByte, colorByte]).readonly(),
  })
  .readonly();
export type SegmentClass = z.infer<typeof segmentClass>;

/** Picture-to-classes contract: input f32[1,3,H,W] sRGB 0..1, any size; output f32[1,K,H,W], the probability of each of the K classes. */
const segmentModelSpec = z
  .object({
    inputName: z.string().min(1),
    outputName: z.string().min(1),
    /** Pictures are scaled so that their short side has so many pixels: the size of things that the net was trained on. */
    shortSide: side,
    classes: z.array(segmentClass).min(2).max(255).readonly(),
    normalisation,
  })
  .readonly();
export type SegmentModelSpec = z.infer<typeof segmentModelSpec>;

/** Query of `POST /v1/segment`; `opacity` is that of the colours in an overlay. */
export const segmentQuery = z.strictObject({
  output: z.enum(['mask', 'overlay', 'json']).default('mask'),
  opacity: z
    .string()
    .regex(/^(0?\.\d{1,6}|1\.0{1,6}|[01])$/, 'expected a number 0..1')
    .transform(Number)
    .default(0.5),
});
export type SegmentQuery = z.infer<typeof segmentQuery>;

/** One class of `POST /v1/segment?output=json`. */
export interface SegmentShare extends SegmentClass {
  readonly id: number;
  /** Of the picture's pixels, 0..1. */
  readonly share: number;
  /** COCO's compressed run lengths, `size` is [height, width]. */
  readonly rle: { readonly size: readonly [number, number]; readonly counts: string };
}

/** Answer of `POST /v1/segment?output=json`: every class of the model, those that do not occur with a share of 0. */
export interface SegmentBody {
  readonly width: number;
  readonly height: number;
  readonly classes: readonly SegmentShare[];
}

export const segmentContract = contract({
  name: 'segment',
  inputs: [{ name: 'image', type: 'image' }],
  sections: { segment: segmentModelSpec },
  query: segmentQuery,
  page: {
    path: '/segment',
    link: 'Segment',
    words: { verb: 'Segment', doing: 'Naming the pixels', did: 'Segmented' },
  },
});
