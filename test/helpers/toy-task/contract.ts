import { z } from 'zod';
import { contract } from '../../../tasks/task.ts';

/** Picture-to-number contract: input f32[1,3,H,W] sRGB 0..1; output f32[1,1], how bright it is, 0..1. */
const brightnessSpec = z.object({ inputName: z.string(), outputName: z.string(), side: z.int().min(8) }).readonly();
export type BrightnessSpec = z.infer<typeof brightnessSpec>;

/** Answer of `POST /v1/brightness`. */
export interface BrightnessBody {
  readonly brightness: number;
  readonly unit: 'share' | 'percent';
}

export const brightnessContract = contract({
  name: 'brightness',
  inputs: [{ name: 'image', type: 'image' }],
  sections: { brightness: brightnessSpec },
  query: z.strictObject({ unit: z.enum(['share', 'percent']).default('share') }),
  page: { path: '/brightness', link: 'Brightness', words: { verb: 'Measure', doing: 'Measuring', did: 'Measured' } },
});
