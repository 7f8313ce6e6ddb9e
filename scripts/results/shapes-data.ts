import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Image } from '../../training/core/image.ts';
import { createRng, type Rng } from '../../training/core/rng.ts';
import { decodeRgb, encodePng, resizeImage } from '../../training/data/image-io.node.ts';
import { listImages } from '../../training/data/items.node.ts';
import { encodePaletteIds } from '../../training/data/segment/palette-png.node.ts';

/*
 * A made-up task of segmentation: a disc, a bar and a star lie on a photo out of focus. Their areas have one distribution, they are turned and
 * placed at random and may hide a part of one another, and all three of a picture have pieces of one other photo on them: neither colour nor
 * texture tells one from another, and colour not even that there is something.
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

/** Standard deviation of a texture's values: of photos without much in them as of others. */
const contrast = 50;

/** A photo as a texture of the size: sharp, half as large, mirrored at its sides, and of a fixed contrast about its own mean colour. */
async function textureOf(photo: Image, { width, height }: Image, rng: Rng): Promise<Image> {
  const tile = await piece(photo, { width: width / 2, height: height / 2 }, 0.8 + 0.2 * rng.next(), rng);
  const count = tile.data.length / 3;
  const means = [0, 1, 2].map((c) => tile.data.reduce((sum, value, i) => (i % 3 === c ? sum + value : sum), 0) / count);
  const square = tile.data.reduce((sum, value, i) => sum + (value - means[i % 3]!) ** 2, 0) / tile.data.length;
  const gain = contrast / Math.max(1, Math.sqrt(square));
  const data = new Uint8ClampedArray(3 * width * height);
  const mirrored = (i: number, length: number): number => (i < length ? i : 2 * length - 1 - i);
  for (let i = 0; i < data.length; i++) {
    const [c, column, row] = [i % 3, Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    const from = mirrored(row, tile.height) * tile.width + mirrored(column, tile.width);
    data[i] = means[c]! + gain * (tile.data[3 * from + c]! - means[c]!);
  }
  return { width, height, channels: 3, data: new Uint8Array(data.buffer) };
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

/** How much of a shape that is there already the new one would hide, at most: of each that is met a quarter. */
const hidden = 0.25;

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

/** shapePicture: one shape of each class on a photo, with pieces of one other photo on them. */
export async function shapePicture(photos: readonly Image[], rng: Rng): Promise<ShapePicture> {
  const [ground, texture] = rng.shuffle(photos);
  const photo = await groundOf(ground!, rng);
  const mask: Image = { ...shapeSize, channels: 1, data: new Uint8Array(shapeSize.width * shapeSize.height) };
  const picture = { photo: { ...photo, data: photo.data.slice() }, mask };
  const placed: Placed[] = [];
  for (const id of rng.shuffle([1, 2, 3] as const)) {
    let next = place(id, rng);
    for (let tries = 0; tries < 50 && !fits(next, placed); tries++) next = place(id, rng);
    placed.push(next);
    paint(picture, next, await textureOf(texture!, photo, rng));
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
