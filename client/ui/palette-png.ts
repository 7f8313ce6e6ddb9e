import type { Segmented } from '../local/jobs.ts';

/** CRC-32 as PNG has it: ISO 3309, reflected polynomial 0xedb88320. */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  return crc;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ table[(crc ^ byte) & 255]!;
  return (crc ^ 0xffffffff) >>> 0;
}

/** Length, type, data, and the checksum of the latter two. */
function chunk(type: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

function header(width: number, height: number): Uint8Array {
  const bytes = new Uint8Array(13);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  bytes.set([8, 3], 8); // bits per pixel, colours by palette; the rest 0: deflate, no filters, not interlaced
  return bytes;
}

/** Rows of ids, each behind its filter (0: none), compressed. */
async function compressed({ width, height, ids }: Segmented): Promise<Uint8Array> {
  const rows = new Uint8Array((width + 1) * height);
  for (let y = 0; y < height; y++) rows.set(ids.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const stream = new Blob([rows]).stream().pipeThrough(new CompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** palettePng: a PNG whose pixels are the class ids, and whose palette is the classes' colours. */
export async function palettePng(mask: Segmented): Promise<Blob> {
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
  const colors = Uint8Array.from(mask.classes.flatMap(({ color }) => color));
  const parts = [
    chunk('IHDR', header(mask.width, mask.height)),
    chunk('PLTE', colors),
    chunk('IDAT', await compressed(mask)),
    chunk('IEND', new Uint8Array(0)),
  ];
  return new Blob([signature, ...parts], { type: 'image/png' });
}
