import { join } from 'node:path';
import type { Image } from '../../training/core/image.ts';
import { createRng } from '../../training/core/rng.ts';
import { writePhoto } from './photos.ts';

/** Whether a place, in half-sizes from the middle of a shape, is inside of it. */
const inside = {
  disc: (x: number, y: number) => Math.hypot(x, y) < 1,
  cross: (x: number, y: number) => Math.min(Math.abs(x), Math.abs(y)) < 0.3 && Math.max(Math.abs(x), Math.abs(y)) < 1,
  ring: (x: number, y: number) => Math.abs(Math.hypot(x, y) - 0.75) < 0.25,
} as const;

export type Shape = keyof typeof inside;
export const shapes = Object.keys(inside).sort() as Shape[];

/** A shape of any colour, place and size on a noisy ground of any other colour: only the form tells what it is. */
export function shapePhoto(shape: Shape, seed: number, side = 56): Image {
  const rng = createRng(seed, 'shape', shape);
  const [ground, paint] = [0, 1].map(() => Array.from({ length: 3 }, () => 40 + 175 * rng.next())) as [
    number[],
    number[],
  ];
  // Light enough or dark enough to be seen.
  const gap = paint[1]! > ground[1]! ? 60 : -60;
  const radius = side * (0.22 + 0.12 * rng.next());
  const [x0, y0] = [0, 1].map(() => radius + (side - 2 * radius) * rng.next()) as [number, number];
  const data = new Uint8Array(3 * side * side);
  for (let i = 0; i < side * side; i++) {
    const [x, y] = [((i % side) - x0) / radius, (Math.floor(i / side) - y0) / radius];
    const within = inside[shape](x, y);
    for (let c = 0; c < 3; c++) {
      const value = (within ? paint[c]! + gap : ground[c]!) + 30 * (rng.next() - 0.5);
      data[3 * i + c] = Math.max(0, Math.min(255, Math.round(value)));
    }
  }
  return { width: side, height: side, channels: 3, data };
}

/** A folder for each of `kinds` with `count` photos in it. */
export async function writeShapes(folder: string, count: number, kinds: readonly Shape[] = shapes): Promise<void> {
  for (const shape of kinds)
    for (let i = 0; i < count; i++) await writePhoto(join(folder, shape), `${shape}-${i}.png`, shapePhoto(shape, i));
}
