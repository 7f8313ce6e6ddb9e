import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Image } from '../../../training/core/image.ts';
import { createRng, type Rng } from '../../../training/core/rng.ts';
import { decodeRgb } from '../../../training/pictures/decode.node.ts';
import { encodePng, resizeImage } from '../../../training/pictures/image-io.node.ts';
import { listImages } from '../../../training/pictures/items.node.ts';
import { encodePaletteIds } from '../../../training/pictures/masks/palette-png.node.ts';

/*
 * A made-up task of segmentation: a disc, a bar and a star lie on a photo out of focus. Their areas have one distribution, they are turned and
 * placed at random and may hide a part of one another, and each has a texture of its own, drawn from the same four patterns in any colours: neither
 * colour nor texture distinguishes them.
 */

export const shapeClasses = [
  { name: 'background', color: [40, 40, 40] },
  { name: 'disc', color: [230, 80, 60] },
  { name: 'bar', color: [70, 180, 90] },
  { name: 'star', color: [80, 110, 240] },
] as const;

export const shapeSize = { width: 192, height: 144 } as const;

type Corners = readonly (readonly [number, number])[];

/** The corners, scaled so that the area is 1 (shoelace formula). */
function unitArea(points: Corners): Corners {
  const area = points.reduce((sum, [x, y], i) => {
    const [u, v] = points[(i + 1) % points.length]!;
    return sum + (x * v - u * y) / 2;
  }, 0);
  return points.map(([x, y]) => [x / Math.sqrt(area), y / Math.sqrt(area)]);
}

/** Corners on a circle about 0; `inner` is the radius of every second one, as a share. */
const onCircle = (count: number, inner: number): Corners =>
  unitArea(
    Array.from({ length: count }, (_, i) => {
      const [angle, radius] = [(2 * Math.PI * i) / count, i % 2 === 0 ? 1 : inner];
      return [radius * Math.cos(angle), radius * Math.sin(angle)];
    }),
  );

/** By class id; each of area 1 about 0. */
const outlines: readonly Corners[] = [
  [],
  onCircle(24, 1),
  unitArea([
    [-3, -1],
    [3, -1],
    [3, 1],
    [-3, 1],
  ]),
  onCircle(10, 0.4),
];

/** Whether (x, y) lies within the corners (even-odd rule). */
function inside(points: Corners, x: number, y: number): boolean {
  let odd = false;
  points.forEach(([x0, y0], i) => {
    const [x1, y1] = points[(i + 1) % points.length]!;
    if (y0 > y !== y1 > y && x < x0 + ((y - y0) / (y1 - y0)) * (x1 - x0)) odd = !odd;
  });
  return odd;
}

/** A piece of the photo at a random place, as large as `share` of its short side, or less to have the wanted shape. */
async function piece(
  photo: Image,
  size: { readonly width: number; readonly height: number },
  share: number,
  rng: Rng,
): Promise<Image> {
  const scale = Math.min(photo.width / size.width, photo.height / size.height) * share;
  const [width, height] = [Math.floor(size.width * scale), Math.floor(size.height * scale)];
  const [left, top] = [rng.int(0, photo.width - width), rng.int(0, photo.height - height)];
  const data = new Uint8Array(3 * width * height);
  for (let row = 0; row < height; row++) {
    const from = 3 * ((top + row) * photo.width + left);
    data.set(photo.data.subarray(from, from + 3 * width), 3 * row * width);
  }
  return resizeImage({ width, height, channels: 3, data }, size, { kernel: 'linear' });
}

/** A photo out of focus. */
async function groundOf(photo: Image, rng: Rng): Promise<Image> {
  const { width, height } = shapeSize;
  const small = await piece(photo, { width: width / 8, height: height / 8 }, 0.6 + 0.4 * rng.next(), rng);
  return resizeImage(small, shapeSize, { kernel: 'cubic' });
}

type Rgb = readonly [number, number, number];

/** How much of the second colour a texture has at (x, y), in periods: 0..1. */
const patterns: readonly ((x: number, y: number) => number)[] = [
  // Stripes, checks, dots, rings of waves.
  (x) => (x - Math.floor(x) < 0.5 ? 0 : 1),
  (x, y) => (Math.floor(2 * x) + Math.floor(2 * y)) & 1,
  (x, y) => (Math.hypot(x - Math.floor(x) - 0.5, y - Math.floor(y) - 0.5) < 0.32 ? 1 : 0),
  (x, y) => 0.5 + 0.5 * Math.sin(2 * Math.PI * x) * Math.sin(2 * Math.PI * y),
];

/** Two colours of which one is clearly lighter. */
function twoColors(rng: Rng): readonly [Rgb, Rgb] {
  const drawn = (): Rgb => [rng.int(0, 255), rng.int(0, 255), rng.int(0, 255)];
  const [dark, light] = [drawn(), drawn()];
  const luma = ([r, g, b]: Rgb): number => 0.299 * r + 0.587 * g + 0.114 * b;
  return luma(light) - luma(dark) > 70 ? [dark, light] : twoColors(rng);
}

/** A texture of the size: one of four patterns in any two colours, turned at random, with a period of 5 to 12 pixels. */
function textureOf({ width, height }: Image, rng: Rng): Image {
  const pattern = patterns[rng.int(0, patterns.length - 1)]!;
  const [dark, light] = twoColors(rng);
  const [turn, period] = [2 * Math.PI * rng.next(), 5 + 7 * rng.next()];
  const [cos, sin] = [Math.cos(turn) / period, Math.sin(turn) / period];
  const data = new Uint8Array(3 * width * height);
  for (let i = 0; i < width * height; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    const share = pattern(x * cos + y * sin, y * cos - x * sin);
    for (let c = 0; c < 3; c++) data[3 * i + c] = Math.round(dark[c]! + share * (light[c]! - dark[c]!));
  }
  return { width, height, channels: 3, data };
}

/** A photo and its class ids. */
export interface ShapePicture {
  readonly photo: Image;
  readonly mask: Image;
}

/** Each pixel is tested at so many places along each side, so that edges are as smooth as in a photo. */
const grid = 4;

/** The share of pixel (column, row) that is of the shape, all or nothing where its corners agree; `toUnit` maps a place to where the shape has area 1 about 0. */
function coverage(
  outline: Corners,
  toUnit: (x: number, y: number) => readonly [number, number],
  column: number,
  row: number,
): number {
  const near = [0, 1, 2, 3].filter((k) => inside(outline, ...toUnit(column + (k & 1), row + (k >> 1)))).length;
  if (near === 0 || near === 4) return near / 4;
  let hits = 0;
  for (let k = 0; k < grid * grid; k++) {
    const [x, y] = toUnit(column + ((k % grid) + 0.5) / grid, row + (Math.floor(k / grid) + 0.5) / grid);
    if (inside(outline, x, y)) hits += 1;
  }
  return hits / (grid * grid);
}

/** The pixels of one shape at a random place. */
interface Placed {
  readonly id: 1 | 2 | 3;
  /** Share of each pixel that is of it, by the pixel's place. */
  readonly shares: ReadonlyMap<number, number>;
}

function place(id: 1 | 2 | 3, rng: Rng): Placed {
  const { width, height } = shapeSize;
  // The root of the area.
  const extent = height * (0.28 + 0.2 * rng.next());
  const turn = 2 * Math.PI * rng.next();
  const [x0, y0] = [extent / 2 + rng.next() * (width - extent), extent / 2 + rng.next() * (height - extent)];
  const [cos, sin] = [Math.cos(turn) / extent, Math.sin(turn) / extent];
  const toUnit = (x: number, y: number) => [(x - x0) * cos + (y - y0) * sin, (y - y0) * cos - (x - x0) * sin] as const;
  // No figure of area 1 reaches further.
  const reach = 1.2 * extent + 1;
  const [top, left] = [Math.max(0, Math.floor(y0 - reach)), Math.max(0, Math.floor(x0 - reach))];
  const shares = new Map<number, number>();
  for (let row = top; row < Math.min(height, y0 + reach); row++)
    for (let column = left; column < Math.min(width, x0 + reach); column++) {
      const share = coverage(outlines[id]!, toUnit, column, row);
      if (share > 0) shares.set(row * width + column, share);
    }
  return { id, shares };
}

/** How much of a shape that is there already the new one would hide, at most: of each that is met a tenth. */
const hidden = 0.1;

/** Whether a shape can lie on those before it without hiding too much of any. */
function fits({ shares }: Placed, before: readonly Placed[]): boolean {
  return before.every((one) => [...one.shares.keys()].filter((i) => shares.has(i)).length <= hidden * one.shares.size);
}

/** Puts a shape filled with `texture` into the picture. A pixel is of the shape when at least half of it is. */
function paint({ photo, mask }: ShapePicture, { id, shares }: Placed, texture: Image): void {
  for (const [i, share] of shares) {
    for (let c = 0; c < 3; c++) {
      const below = photo.data[3 * i + c]!;
      photo.data[3 * i + c] = Math.round(below + share * (texture.data[3 * i + c]! - below));
    }
    if (share >= 0.5) mask.data[i] = id;
  }
}

/** shapePicture: one shape of each class on a photo, each with a texture of its own. */
export async function shapePicture(photos: readonly Image[], rng: Rng): Promise<ShapePicture> {
  const photo = await groundOf(photos[rng.int(0, photos.length - 1)]!, rng);
  const mask: Image = { ...shapeSize, channels: 1, data: new Uint8Array(shapeSize.width * shapeSize.height) };
  const picture = { photo: { ...photo, data: photo.data.slice() }, mask };
  const placed: Placed[] = [];
  for (const id of rng.shuffle([1, 2, 3] as const)) {
    let next = place(id, rng);
    for (let tries = 0; tries < 50 && !fits(next, placed); tries++) next = place(id, rng);
    placed.push(next);
    paint(picture, next, textureOf(photo, rng));
  }
  return picture;
}

/** Writes `count` pictures below `folder` as `images`, `masks` (palette PNGs) and `classes.json`: what `fettle retrain segment` reads. */
async function writePart(folder: string, photos: readonly Image[], count: number, rng: Rng): Promise<void> {
  for (const part of ['images', 'masks']) await mkdir(join(folder, part), { recursive: true });
  const colors = shapeClasses.map(({ color }) => color);
  for (let i = 0; i < count; i++) {
    const { photo, mask } = await shapePicture(photos, rng);
    const name = `${String(i).padStart(2, '0')}.png`;
    await writeFile(join(folder, 'images', name), await encodePng(photo));
    await writeFile(join(folder, 'masks', name), encodePaletteIds(mask, colors));
  }
  const classes = shapeClasses.map(({ name, color: rgb }, id) => ({ id, name, rgb }));
  await writeFile(join(folder, 'classes.json'), JSON.stringify({ classes }, null, 2));
}

/** writeShapes: the task of this seed, 40 pictures in `train` and 40 in `test` below `folder`; the two are made of different photos. */
export async function writeShapes(photoFolder: string, folder: string, seed: number): Promise<void> {
  const rng = createRng(seed, 'shapes');
  const photos: Image[] = [];
  for (const { path } of await listImages(photoFolder)) photos.push(await decodeRgb(path));
  const mixed = rng.shuffle(photos);
  const half = mixed.length >> 1;
  await writePart(join(folder, 'train'), mixed.slice(0, half), 40, rng);
  await writePart(join(folder, 'test'), mixed.slice(half), 40, rng);
}
