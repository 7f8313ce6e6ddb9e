import { formatOf, writtenFormat } from '../../training/pictures/formats.ts';
import type { OutputFormat } from '../api.ts';

const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

const read = async (file: Blob, start: number, length: number): Promise<Uint8Array> =>
  new Uint8Array(await file.slice(start, start + length).arrayBuffer());

/** sniffFormat: the file's own format where we can write it, detected from its first bytes, else PNG. */
export const sniffFormat = async (file: Blob): Promise<OutputFormat> =>
  writtenFormat(formatOf(await read(file, 0, 64)));

/**
 * isPlainPng: whether the file is a PNG without a colour profile (`iCCP`, `cICP`): one whose numbers are taken as sRGB.
 * Most such files still carry a rounded gamma (`gAMA`), from which browsers compute other colours than the server's.
 */
export async function isPlainPng(file: Blob): Promise<boolean> {
  if (latin1(await read(file, 0, 8)) !== '\x89PNG\r\n\x1a\n') return false;
  for (let at = 8; at < file.size; ) {
    const header = await read(file, at, 8);
    const type = latin1(header.subarray(4));
    if (header.length < 8 || type === 'IDAT') return true;
    if (type === 'iCCP' || type === 'cICP') return false;
    at += 12 + new DataView(header.buffer).getUint32(0);
  }
  return true;
}
