import { constants, deflateSync, inflateSync } from 'node:zlib';
import { ensure } from '../../core/errors.ts';
import type { Image } from '../../core/image.ts';
import { isPng, paletteFile, paletteRows, pngChunks } from '../png.ts';

/*
 * PNG files whose pixels are places in a table of colours. Picture libraries give the colours back, in which two places of one colour
 * are the same; class ids need the places. Source: PNG specification, third edition, sections 7 and 9.
 */

interface Header {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  readonly colorType: number;
  readonly interlaced: boolean;
}

function headerOf(data: Uint8Array): Header {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return {
    width: view.getUint32(0),
    height: view.getUint32(4),
    depth: data[8]!,
    colorType: data[9]!,
    interlaced: data[12] !== 0,
  };
}

/** a, b or c, whichever is nearest to a + b - c. */
function paeth(a: number, b: number, c: number): number {
  const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

/** Takes the filters of the rows away, in place; returns the rows without their filter bytes. */
function unfilter(raw: Uint8Array, rowBytes: number, height: number): Uint8Array {
  const out = new Uint8Array(rowBytes * height);
  for (let row = 0; row < height; row++) {
    const [filter, from, to] = [raw[row * (rowBytes + 1)]!, row * (rowBytes + 1) + 1, row * rowBytes];
    ensure(filter <= 4, 'bad-data', () => `png: expected filters 0..4, got ${filter}`);
    for (let i = 0; i < rowBytes; i++) {
      const left = i > 0 ? out[to + i - 1]! : 0;
      const above = row > 0 ? out[to + i - rowBytes]! : 0;
      const corner = i > 0 && row > 0 ? out[to + i - rowBytes - 1]! : 0;
      const guess = [0, left, above, (left + above) >> 1, paeth(left, above, corner)][filter]!;
      out[to + i] = raw[from + i]! + guess;
    }
  }
  return out;
}

/** paletteColors: the table of colours of a palette PNG, RGB 0..255 by place; undefined for any other file. Throws `bad-data` where it is damaged. */
export function paletteColors(bytes: Uint8Array): (readonly [number, number, number])[] | undefined {
  if (!isPng(bytes)) return undefined;
  for (const [type, data] of pngChunks(bytes)) {
    if (type === 'IHDR' && headerOf(data).colorType !== 3) return undefined;
    if (type === 'PLTE')
      return Array.from({ length: data.length / 3 }, (_, i) => [data[3 * i]!, data[3 * i + 1]!, data[3 * i + 2]!]);
  }
  return undefined;
}

/** greyBits: bits of a pixel of a grey PNG without alpha, 1, 2, 4, 8 or 16; undefined for any other file. Throws `bad-data` where it is damaged. */
export function greyBits(bytes: Uint8Array): number | undefined {
  if (!isPng(bytes)) return undefined;
  for (const [type, data] of pngChunks(bytes)) {
    const { colorType, depth } = headerOf(data);
    return type === 'IHDR' && colorType === 0 ? depth : undefined;
  }
  return undefined;
}

/**
 * readPaletteIds: the places in the table that the pixels of a palette PNG have, one channel u8; undefined for any other file. Throws
 * `bad-data` where it is damaged or interlaced.
 */
export function readPaletteIds(bytes: Uint8Array): Image | undefined {
  if (!isPng(bytes)) return undefined;
  let header: Header | undefined;
  const parts: Uint8Array[] = [];
  for (const [type, data] of pngChunks(bytes)) {
    if (type === 'IHDR') header = headerOf(data);
    if (type === 'IDAT') parts.push(data);
  }
  if (header === undefined || header.colorType !== 3) return undefined;
  const { width, height, depth, interlaced } = header;
  ensure(!interlaced && [1, 2, 4, 8].includes(depth), 'bad-data', () => {
    return `png: expected a palette of 1, 2, 4 or 8 bits without interlacing, got ${depth} bits${interlaced ? ', interlaced' : ''}; save it again`;
  });
  const rowBytes = Math.ceil((width * depth) / 8);
  const size = (rowBytes + 1) * height;
  const raw = inflateSync(Buffer.concat(parts), { maxOutputLength: size });
  ensure(raw.length === size, 'bad-data', () => `png: expected ${size} bytes of pixels, got ${raw.length}`);
  const rows = unfilter(raw, rowBytes, height);
  const data = new Uint8Array(width * height);
  for (let i = 0; i < data.length; i++) {
    const bit = (i % width) * depth;
    const byte = rows[Math.floor(i / width) * rowBytes + (bit >> 3)]!;
    data[i] = (byte >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
  }
  return { width, height, channels: 1, data };
}

/** encodePaletteIds: class ids, one channel u8, as a palette PNG in the classes' colours (RGB 0..255); ids beyond them are black. */
export function encodePaletteIds(ids: Image, colors: readonly (readonly number[])[]): Uint8Array {
  // Masks are runs of equal ids: looking for nothing else takes an eighth of the time and makes smaller files.
  const deflated = deflateSync(paletteRows(ids), { strategy: constants.Z_RLE });
  return Buffer.concat(paletteFile(ids, colors, deflated));
}
