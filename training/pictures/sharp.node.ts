import sharp, { type Sharp } from 'sharp';
import type { Image } from '../core/image.ts';

// Pictures are worked on beside each other: threads inside each operation cost more than they give, and nothing is read twice.
sharp.concurrency(1);
sharp.cache(false);

/** The picture library, set up; training, tasks and server have it from here. */
export { type Sharp, sharp };

/** imageOf: runs a pipeline -> its pixels, 8 bits a channel. */
export async function imageOf(pipeline: Sharp): Promise<Image> {
  const { data, info } = await pipeline.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, channels: info.channels as Image['channels'], data };
}
