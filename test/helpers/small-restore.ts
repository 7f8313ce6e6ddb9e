import { join } from 'node:path';
import { restoreUnetDefaults } from '../../models/unet.ts';
import { type RestoreRunConfig, restoreRunDefaults } from '../../tasks/restore/recipe.node.ts';
import { wavyImage, writePhoto } from './photos.ts';

/** A run of seconds with all that a long one has: two sizes of crops, damage on the fly, a partly filled schedule. */
export const smallRun: RestoreRunConfig = {
  ...restoreRunDefaults,
  model: { ...restoreUnetDefaults, widths: [4, 8], blocks: [1, 1], headWidth: 5 },
  stages: [
    { epochs: 2, size: 32, batchSize: 2 },
    { epochs: 2, size: 48, batchSize: 3 },
  ],
  samplesPerEpoch: 12,
  shortSide: { min: 40, max: 60 },
  validShare: 0.2,
};

/** Updates in {@link smallRun}: 2 epochs of 6 batches, 2 of 4. */
export const smallRunSteps = 20;

/** Writes `count` photos of 80 x 64 px. */
export async function writePhotos(folder: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++)
    await writePhoto(
      folder,
      join(i % 2 === 0 ? 'a' : 'b', `${i}.${i % 3 === 0 ? 'png' : 'jpg'}`),
      wavyImage(80, 64, i),
    );
}
