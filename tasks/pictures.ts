import { z } from 'zod';

/* Parts of the contracts of tasks whose input is a picture. */

/** Mean and standard deviation of each channel, 0..1. They are inside the graph; config.json repeats them for information. */
export const normalisation = z
  .object({ mean: z.array(z.number()).readonly(), std: z.array(z.number()).readonly() })
  .readonly();

/** A picture whose size the model is made for, in pixels. */
export const side = z.int().min(8).max(4096);

/** A whole number 1..100 in a query. */
export const oneToHundred = z
  .string()
  .regex(/^\d{1,3}$/, 'expected a whole number 1..100')
  .transform(Number)
  .pipe(z.int().min(1).max(100));

/**
 * Picture-to-picture contract: input f32[1,3,H,W] sRGB 0..1, output f32[1,3,H,W] 0..1 of the same size.
 * Normalisation and clipping are inside the graph.
 */
export const imageModelSpec = z
  .object({
    inputName: z.string().min(1),
    outputName: z.string().min(1),
    /** H and W must be multiples of this; callers pad by reflection at the right and bottom. */
    multipleOf: z.int().min(1).max(256),
    /** Radius in pixels of the neighbourhood an output pixel sees, rounded up to `multipleOf`: the overlap of exact tiles. */
    halo: z.int().min(0).max(4096),
    normalisation,
  })
  .readonly();
export type ImageModelSpec = z.infer<typeof imageModelSpec>;

/** In which form a picture comes back; without `format` as the input, else png. */
export const outputQuery = z.strictObject({
  format: z.enum(['png', 'jpeg', 'webp']).exactOptional(),
  quality: oneToHundred.default(90),
  metadata: z.enum(['keep', 'strip', 'all']).default('keep'),
});
export type OutputQuery = z.infer<typeof outputQuery>;
export type OutputFormat = NonNullable<OutputQuery['format']>;
