import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Image } from '../../training/core/image.ts';
import { createRng } from '../../training/core/rng.ts';
import { encodeJpeg, encodePng } from '../../training/pictures/image-io.node.ts';

/** Runs `body` with a new empty folder that is removed afterwards. */
export async function withFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'fettle-test-'));
  try {
    return await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A picture of one colour. */
export const plainImage = (width: number, height: number, level: number): Image => ({
  width,
  height,
  channels: 3,
  data: new Uint8Array(3 * width * height).fill(level),
});

/** A picture of soft waves in each channel, different for each seed: detail everywhere, no hard edges. */
export function wavyImage(width: number, height: number, seed: number): Image {
  const rng = createRng(seed, 'wavy');
  const waves = Array.from({ length: 9 }, () => [rng.next() * 0.5, rng.next() * 0.5, rng.next() * 7] as const);
  const image = plainImage(width, height, 0);
  for (let i = 0; i < image.data.length; i++) {
    const [c, x, y] = [i % 3, Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    let value = 128;
    for (const [fx, fy, phase] of waves.slice(3 * c, 3 * c + 3)) value += 38 * Math.sin(fx * x + fy * y + phase);
    image.data[i] = Math.round(value);
  }
  return image;
}

/** Writes a picture file, its folders too; the extension states which kind: `.png` or `.jpg` (quality 90). */
export async function writePhoto(folder: string, name: string, image: Image): Promise<void> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, name.endsWith('.png') ? await encodePng(image) : (await encodeJpeg(image, 90)).bytes);
}
