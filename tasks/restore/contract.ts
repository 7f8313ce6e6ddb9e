import { z } from 'zod';
import { imageModelSpec, outputQuery } from '../pictures.ts';
import { contract } from '../task.ts';

/** Query of `POST /v1/restore`: the size of the answer as a multiple of the upright picture's, and its form. */
export const restoreQuery = z.strictObject({
  scale: z
    .enum(['1', '2', '4'])
    .default('1')
    .transform((text) => Number(text) as 1 | 2 | 4),
  ...outputQuery.shape,
});
export type RestoreQuery = z.infer<typeof restoreQuery>;

export const restoreContract = contract({
  name: 'restore',
  inputs: [{ name: 'image', type: 'image' }],
  sections: { image: imageModelSpec },
  query: restoreQuery,
  page: {
    path: '/',
    link: 'Restore',
    words: {
      verb: 'Restore',
      doing: 'Restoring',
      did: 'Restored',
      different: 'The copy made here carries no camera data (EXIF).',
    },
  },
});
