import { join } from 'node:path';
import type { Image } from '../../training/core/image.ts';
import { createRng } from '../../training/core/rng.ts';
import { writePhoto } from './photos.ts';

/** Whether a place, in periods of the pattern, is painted. */
const painted = {
  checks: (x: number, y: number) => (Math.floor(2 * x) + Math.floor(2 * y)) % 2 === 0,
  dots: (x: number, y: number) => Math.hypot(x - Math.floor(x) - 0.5, y - Math.floor(y) - 0.5) < 0.3,
  stripes: (x: number) => x - Math.floor(x) < 0.5,
} as const;

export type Texture = keyof typeof painted;
export const textures = Object.keys(painted).sort() as Texture[];

/** A pattern of any two colours, any scale and direction, with noise: only the form tells what it is. */
export function texturePhoto(texture: Texture, seed: number, side = 56): Image {
  const rng = createRng(seed, 'texture', texture);
  const dark = Array.from({ length: 3 }, () => 20 + 100 * rng.next());
  const light = Array.from({ length: 3 }, () => 130 + 100 * rng.next());
  const [ground, paint] = rng.next() < 0.5 ? [dark, light] : [light, dark];
  const period = 7 + 7 * rng.next();
  const angle = Math.PI * rng.next();
  const [along, across] = [Math.cos(angle) / period, Math.sin(angle) / period];
  const [x0, y0] = [rng.next(), rng.next()];
  const data = new Uint8Array(3 * side * side);
  for (let i = 0; i < side * side; i++) {
    const [x, y] = [i % side, Math.floor(i / side)];
    const inside = painted[texture](x0 + 100 + x * along + y * across, y0 + 100 + y * along - x * across);
    for (let c = 0; c < 3; c++) {
      const value = (inside ? paint : ground)[c]! + 30 * (rng.next() - 0.5);
      data[3 * i + c] = Math.max(0, Math.min(255, Math.round(value)));
    }
  }
  return { width: side, height: side, channels: 3, data };
}

/** A folder for each of `kinds` with `count` photos in it. */
export async function writeTextures(
  folder: string,
  count: number,
  kinds: readonly Texture[] = textures,
): Promise<void> {
  for (const kind of kinds)
    for (let i = 0; i < count; i++) await writePhoto(join(folder, kind), `${kind}-${i}.png`, texturePhoto(kind, i));
}
