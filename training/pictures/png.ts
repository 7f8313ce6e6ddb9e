import { crc32 } from '../core/crc32.ts';
import { ensure } from '../core/errors.ts';
import type { Image } from '../core/image.ts';

/* PNG files, chunk by chunk. Source: PNG specification, third edition, sections 5, 9 and 11. */

export const pngSignature = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);

export const isPng = (bytes: Uint8Array): boolean => pngSignature.every((byte, i) => bytes[i] === byte);

/** pngChunk: type (4 letters) and content -> length, type, content, and the checksum of the latter two. */
export function pngChunk(type: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const chunk = new Uint8Array(12 + data.length);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) chunk[4 + i] = type.charCodeAt(i);
  chunk.set(data, 8);
  view.setUint32(8 + data.length, crc32(chunk.subarray(4, 8 + data.length)));
  return chunk;
}

/** pngChunks: type and content of every chunk of a PNG. Throws `bad-data` where one is damaged. */
export function* pngChunks(bytes: Uint8Array): Generator<readonly [type: string, data: Uint8Array]> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = pngSignature.length; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const end = at + 8 + length;
    ensure(end + 4 <= bytes.length, 'bad-data', () => `png: expected ${length} bytes of ${type}, got fewer`);
    ensure(crc32(bytes.subarray(at + 4, end)) === view.getUint32(end), 'bad-data', () => {
      return `png: expected the checksum of ${type}, got another; the file is damaged`;
    });
    yield [type, bytes.subarray(at + 8, end)];
    at = end + 4;
  }
}

/** paletteRows: ids, one channel u8 -> the rows of a PNG, each behind its filter (0: none), to be compressed by `deflate`. */
export function paletteRows({ width, height, data }: Image): Uint8Array<ArrayBuffer> {
  const rows = new Uint8Array((width + 1) * height);
  for (let y = 0; y < height; y++) rows.set(data.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  return rows;
}

/**
 * paletteFile: ids, one channel u8, and their compressed {@link paletteRows} -> a PNG whose pixels are the ids and whose palette is
 * `colors` (RGB 0..255), the parts of the file in order; ids beyond the colours are black.
 */
export function paletteFile(
  ids: Image,
  colors: readonly (readonly number[])[],
  deflated: Uint8Array,
): Uint8Array<ArrayBuffer>[] {
  ensure(ids.channels === 1 && colors.length <= 256, 'bad-argument', () => {
    return `paletteFile: expected one channel and at most 256 colours, got ${ids.channels} and ${colors.length}`;
  });
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, ids.width);
  header.setUint32(4, ids.height);
  header.setUint16(8, 0x0803); // 8 bits per pixel, colours by palette; the rest 0: deflate, no filters, not interlaced
  let most = colors.length - 1;
  for (const id of ids.data) if (id > most) most = id;
  return [
    pngSignature.slice(),
    pngChunk('IHDR', new Uint8Array(header.buffer)),
    pngChunk(
      'PLTE',
      Uint8Array.from({ length: 3 * (most + 1) }, (_, i) => colors[Math.floor(i / 3)]?.[i % 3] ?? 0),
    ),
    pngChunk('IDAT', deflated),
    pngChunk('IEND', new Uint8Array()),
  ];
}
