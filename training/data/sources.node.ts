import { readFile, stat } from 'node:fs/promises';
import { isAbsolute, join, sep } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { parseCsv } from '../core/csv.ts';
import { ensure, FettleError } from '../core/errors.ts';
import type { Image } from '../core/image.ts';
import type { Tensor } from '../core/tensor.ts';
import { listImages } from '../pictures/items.node.ts';
import { parseIdx } from './idx.ts';
import type { ArrayItem, FileItem, Getter, RowItem } from './types.ts';

/** fromFolder: the pictures of a folder and its subfolders, by name. */
export const fromFolder = (): Getter<string, FileItem> => (folder) => listImages(folder);

/** fromFiles: pictures by path; their names are the paths, below `root` where that is given. */
export const fromFiles =
  (root = ''): Getter<readonly string[], FileItem> =>
  (paths) =>
    paths.map((path) => ({ path: isAbsolute(path) ? path : join(root, path), name: path.split(sep).join('/') }));

export interface FromCsvOptions {
  /** Folder that names are relative to. */
  readonly folder: string;
  /** Column with the names; default the first. */
  readonly column?: string;
  /** Ending to add to each name. */
  readonly suffix?: string;
  readonly delimiter?: string;
}

/** fromCsv: a picture per row of a table (RFC 4180, with a header). */
export const fromCsv =
  ({ folder, column, suffix = '', delimiter = ',' }: FromCsvOptions): Getter<string, RowItem> =>
  async (path) => {
    const text = await readFile(path, 'utf8').catch((cause: unknown) => {
      throw new FettleError('not-found', `fromCsv: expected a table at ${path}, found none (${cause})`, { cause });
    });
    const { columns, rows } = parseCsv(text, delimiter);
    const key = column ?? columns[0]!;
    ensure(
      columns.includes(key),
      'bad-data',
      () => `fromCsv: expected a column '${key}' in ${path}, got ${columns.join(', ')}`,
    );
    return rows.map((row) => ({ name: `${row[key]}${suffix}`, path: join(folder, `${row[key]}${suffix}`), row }));
  };

/** Files above this are not read at once: idx files are kept whole in memory. */
const MAX_IDX_BYTES = 2 ** 30;

/** readIdx: an idx file, gzipped or not, of up to 1 GiB -> tensor. */
export async function readIdx(path: string): Promise<Tensor> {
  const { size } = await stat(path).catch((cause: unknown) => {
    throw new FettleError('not-found', `readIdx: expected an idx file at ${path}, found none`, { cause });
  });
  ensure(
    size <= MAX_IDX_BYTES,
    'bad-data',
    () => `readIdx: expected at most ${MAX_IDX_BYTES} bytes in ${path}, got ${size}`,
  );
  const bytes = await readFile(path);
  const zipped = bytes[0] === 0x1f && bytes[1] === 0x8b;
  const unzip = promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip);
  const plain = zipped
    ? await unzip(bytes, { maxOutputLength: MAX_IDX_BYTES }).catch((cause: unknown) => {
        throw new FettleError(
          'bad-data',
          `readIdx: expected a whole gzip file of at most ${MAX_IDX_BYTES} bytes at ${path}; ${cause}`,
          { cause },
        );
      })
    : bytes;
  return parseIdx(plain, path);
}

/** Pictures u8[N,H,W] or u8[N,H,W,C] (C 1, 3 or 4), or one by one, and their labels. */
export interface ArraySource {
  readonly images: Tensor<'uint8'> | readonly Image[];
  readonly labels?: readonly (string | number)[];
  /** Starts the items' names: `train/` + index. */
  readonly prefix?: string;
}

/** Views of u8[N,H,W] or u8[N,H,W,C] as pictures; nothing is copied. */
export function imagesOf({ dims, data }: Tensor<'uint8'>): Image[] {
  const [count = 0, height = 0, width = 0, channels = 1] = dims;
  ensure((dims.length === 3 || dims.length === 4) && [1, 3, 4].includes(channels), 'bad-shape', () => {
    return `imagesOf: expected u8[N,H,W] or u8[N,H,W,C] with C 1, 3 or 4, got [${dims}]`;
  });
  const size = height * width * channels;
  return Array.from({ length: count }, (_, i) => ({
    width,
    height,
    channels: channels as Image['channels'],
    data: data.subarray(i * size, (i + 1) * size),
  }));
}

/** fromArrays: pictures in memory. */
export const fromArrays = (): Getter<ArraySource | readonly ArraySource[], ArrayItem> => (source) =>
  [source].flat().flatMap(({ images, labels, prefix = '' }) => {
    const pictures = 'dims' in images ? imagesOf(images) : images;
    ensure(labels === undefined || labels.length === pictures.length, 'bad-data', () => {
      return `fromArrays: expected a label for each of ${pictures.length} pictures, got ${labels?.length}`;
    });
    return pictures.map((image, i) => ({
      name: `${prefix}${i}`,
      image,
      ...(labels === undefined ? {} : { label: String(labels[i]) }),
    }));
  });

/** Files of an idx data set: pictures and labels of each part. */
export type IdxFiles = Readonly<Record<string, { readonly images: string; readonly labels: string }>>;

/** MNIST's files, as published (gzipped). */
export const mnistFiles: IdxFiles = {
  train: { images: 'train-images-idx3-ubyte.gz', labels: 'train-labels-idx1-ubyte.gz' },
  valid: { images: 't10k-images-idx3-ubyte.gz', labels: 't10k-labels-idx1-ubyte.gz' },
};

/** One idx file of bytes; a missing `.gz` file may be there without that ending. */
async function readBytes(folder: string, file: string): Promise<Tensor<'uint8'>> {
  const plain = join(folder, file.replace(/\.gz$/, ''));
  const packed = join(folder, file);
  const there = await stat(packed).then(
    () => true,
    () => false,
  );
  const found = await readIdx(there ? packed : plain);
  ensure(found.dtype === 'uint8', 'bad-data', () => `fromIdx: expected bytes in ${file}, got ${found.dtype}`);
  return found as Tensor<'uint8'>;
}

/** fromIdx: the pictures of idx files below a folder, all in memory; names are `train/0`, `train/1`, ... , `valid/0`, ... */
export const fromIdx =
  (files: IdxFiles = mnistFiles): Getter<string, ArrayItem> =>
  async (folder) => {
    const parts: ArraySource[] = [];
    for (const [part, { images, labels }] of Object.entries(files)) {
      const ids = await readBytes(folder, labels);
      parts.push({ images: await readBytes(folder, images), labels: [...ids.data], prefix: `${part}/` });
    }
    return fromArrays()(parts);
  };
