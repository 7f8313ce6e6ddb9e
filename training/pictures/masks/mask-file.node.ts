import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { ensure } from '../../core/errors.ts';
import type { Image } from '../../core/image.ts';
import type { MaskForm } from './mask-form.ts';
import { greyBits, readPaletteIds } from './palette-png.node.ts';

async function readIds(bytes: Uint8Array, path: string): Promise<Image> {
  const places = readPaletteIds(bytes);
  if (places !== undefined) return places;
  const file = sharp(bytes, { failOn: 'error' });
  const { channels, depth } = await file.metadata();
  ensure(channels === 1 && depth === 'uchar', 'bad-data', () => {
    return `decodeMask: expected one channel of 8-bit class ids in ${path}, got ${channels} of ${depth}; say which colours are which classes, or save masks as grey PNG`;
  });
  const { data, info } = await file.toColourspace('b-w').raw().toBuffer({ resolveWithObject: true });
  ensure(info.channels === 1, 'internal', () => `decodeMask: expected one channel of ${path}, got ${info.channels}`);
  // The library spreads few bits over 0..255, as greys want it: by 255, 85 or 17.
  const step = 255 / (2 ** Math.min(8, greyBits(bytes) ?? 8) - 1);
  return { width: info.width, height: info.height, channels: 1, data: step === 1 ? data : data.map((x) => x / step) };
}

/** Whether a file can be a mask of ids: a palette PNG, or one channel of 8 bits. */
export async function isIdFile(path: string): Promise<boolean> {
  const bytes = await readFile(path);
  if (readPaletteIds(bytes) !== undefined) return true;
  const { channels, depth } = await sharp(bytes).metadata();
  return channels === 1 && depth === 'uchar';
}

/** The picture's pixels as numbers 0xRRGGBB -> ids. */
async function readColors(
  bytes: Uint8Array,
  colors: readonly (readonly [number, number, number])[],
  path: string,
): Promise<Image> {
  const pixels = sharp(bytes, { failOn: 'error' }).removeAlpha().toColourspace('srgb');
  const { data: rgb, info } = await pixels.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
  const ids = new Map(colors.map(([r, g, b], id) => [(r << 16) | (g << 8) | b, id]));
  const data = new Uint8Array(info.width * info.height);
  for (let i = 0; i < data.length; i++) {
    const color = rgb.subarray(3 * i, 3 * i + 3);
    const id = ids.get((color[0]! << 16) | (color[1]! << 8) | color[2]!);
    ensure(id !== undefined, 'bad-data', () => {
      return `decodeMask: expected the colours of ${colors.length} classes in ${path}, got [${[...color]}] at (${i % info.width}, ${Math.floor(i / info.width)}); add it to the table, and save masks as PNG`;
    });
    data[i] = id;
  }
  return { width: info.width, height: info.height, channels: 1, data };
}

async function readThreshold(bytes: Uint8Array, from: number): Promise<Image> {
  const grey = sharp(bytes, { failOn: 'error' }).flatten({ background: '#000000' }).toColourspace('b-w');
  const { data, info } = await grey.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, channels: 1, data: data.map((value) => (value >= from ? 1 : 0)) };
}

/** decodeMask: a mask's file -> class ids, one channel u8. Throws `bad-data` where the file is not of the form. */
export async function decodeMask(path: string, form: MaskForm = { kind: 'ids' }): Promise<Image> {
  const bytes = await readFile(path);
  if (form.kind === 'colors') return readColors(bytes, form.colors, path);
  return form.kind === 'threshold' ? readThreshold(bytes, form.from) : readIds(bytes, path);
}

/** A mask's class ids, from its file or as they are. */
export const readMask = async (mask: string | Image, form?: MaskForm): Promise<Image> =>
  typeof mask === 'string' ? decodeMask(mask, form) : mask;
