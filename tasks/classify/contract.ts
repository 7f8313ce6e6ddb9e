import { z } from 'zod';
import { normalisation, oneToHundred, side } from '../pictures.ts';
import { contract } from '../task.ts';

/** Picture-to-label contract: input f32[N,3,H,W] sRGB 0..1 of the given size; output f32[N,K], the probability of each of the K classes. */
const classifyModelSpec = z
  .object({
    inputName: z.string().min(1),
    outputName: z.string().min(1),
    width: side,
    height: side,
    /** How a picture comes to that size: cut from its middle after scaling, or stretched. */
    resize: z.enum(['crop', 'squish']),
    /** Names of the classes, by id. */
    classes: z.array(z.string().min(1)).min(2).max(10_000).readonly(),
    normalisation,
  })
  .readonly();
export type ClassifyModelSpec = z.infer<typeof classifyModelSpec>;

/** Query of `POST /v1/classify`; `top` is how many labels come back. */
export const classifyQuery = z.strictObject({ top: oneToHundred.default(5) });
export type ClassifyQuery = z.infer<typeof classifyQuery>;

/** Answer of `POST /v1/classify`: the most probable labels, the most likely first. */
export interface ClassifyBody {
  readonly labels: readonly { readonly label: string; readonly probability: number }[];
}

export const classifyContract = contract({
  name: 'classify',
  inputs: [{ name: 'image', type: 'image' }],
  sections: { classify: classifyModelSpec },
  query: classifyQuery,
  page: {
    path: '/classify',
    link: 'Classify',
    words: { verb: 'Classify', doing: 'Looking at it', did: 'Classified' },
  },
});
