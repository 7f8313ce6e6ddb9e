/** Formats that pictures are read from. */
export type InputFormat = 'jpeg' | 'png' | 'webp' | 'gif' | 'tiff' | 'avif';

/** Formats that pictures are written in. */
export type WrittenFormat = 'png' | 'jpeg' | 'webp';

interface FormatFacts {
  /** Endings of file names, the usual one first. */
  readonly endings: readonly string[];
  /** Whether these are the first bytes of such a file. */
  readonly test: (bytes: Uint8Array) => boolean;
}

const ascii = (bytes: Uint8Array, start: number, end: number): string =>
  String.fromCharCode(...bytes.subarray(start, end));

const startsWith =
  (...starts: readonly string[]) =>
  (bytes: Uint8Array): boolean =>
    starts.some((start) => ascii(bytes, 0, start.length) === start);

/** Major and compatible brands of an ISO media file's `ftyp` box (ISO/IEC 14496-12). */
function brands(bytes: Uint8Array): string[] {
  if (bytes.length < 8 || ascii(bytes, 4, 8) !== 'ftyp') return [];
  const end = Math.min(bytes.length, 64, new DataView(bytes.buffer, bytes.byteOffset).getUint32(0));
  return Array.from({ length: Math.max(0, Math.floor((end - 8) / 4)) }, (_, i) => ascii(bytes, 8 + 4 * i, 12 + 4 * i));
}

const hasBrand =
  (brand: RegExp) =>
  (bytes: Uint8Array): boolean =>
    brands(bytes).some((one) => brand.test(one));

/** What is read, by first bytes: names of files and declared types are not believed. */
export const pictureFormats: Readonly<Record<InputFormat, FormatFacts>> = {
  jpeg: { endings: ['jpg', 'jpeg'], test: startsWith('\xff\xd8\xff') },
  png: { endings: ['png'], test: startsWith('\x89PNG\r\n\x1a\n') },
  webp: { endings: ['webp'], test: (b) => ascii(b, 0, 4) === 'RIFF' && ascii(b, 8, 12) === 'WEBP' },
  gif: { endings: ['gif'], test: startsWith('GIF87a', 'GIF89a') },
  tiff: { endings: ['tif', 'tiff'], test: startsWith('II*\0', 'MM\0*') },
  avif: { endings: ['avif'], test: hasBrand(/^avi[fs]$/) },
};

const convert = 'convert it to JPEG or PNG first';

const isMarkup = (bytes: Uint8Array): boolean =>
  /^\s*(<\?xml|<!doctype|<svg|<html|<!--)/i.test(ascii(bytes, 0, 256).replace(/^\xef\xbb\xbf/, ''));

/** What is known and not read, with what to do instead. */
const unread: readonly (readonly [test: (bytes: Uint8Array) => boolean, advice: string])[] = [
  [
    hasBrand(/^(hei[cxms]|hev[cxms]|mif1|msf1)$/),
    `HEIC cannot be decoded here: ${convert} (a phone's "most compatible" setting does)`,
  ],
  [startsWith('BM'), `BMP is not read: ${convert}`],
  [isMarkup, 'SVG and HTML are not photos: send a JPEG, PNG, WebP, GIF, TIFF or AVIF'],
  [startsWith('%PDF'), `PDF is not read: ${convert}`],
  [(b) => startsWith('\xff\x0a')(b) || ascii(b, 4, 8) === 'JXL ', `JPEG XL is not read: ${convert}`],
  [(b) => ascii(b, 4, 6) === 'jP', `JPEG 2000 is not read: ${convert}`],
  [startsWith('8BPS'), `Photoshop files are not read: ${convert}`],
];

/** formatOf: the first bytes of a file (64 suffice) -> its format; undefined for those that are not read. */
export const formatOf = (bytes: Uint8Array): InputFormat | undefined =>
  (Object.keys(pictureFormats) as InputFormat[]).find((format) => pictureFormats[format].test(bytes));

/** unreadReason: why a file without a {@link formatOf} is not read, and what to do. */
export const unreadReason = (bytes: Uint8Array): string =>
  unread.find(([test]) => test(bytes))?.[1] ?? 'expected JPEG, PNG, WebP, GIF, TIFF or AVIF, got other bytes';

/** writtenFormat: the format that a picture of this one comes back in: itself where it is written, else png. */
export const writtenFormat = (format: InputFormat | undefined): WrittenFormat =>
  format === 'jpeg' || format === 'webp' ? format : 'png';

/** Names of files that hold pictures, by their endings. */
export const pictureName = new RegExp(
  `\\.(${Object.values(pictureFormats)
    .flatMap(({ endings }) => endings)
    .join('|')})$`,
  'i',
);
