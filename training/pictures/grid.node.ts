import { writeFile } from 'node:fs/promises';
import { ensure } from '../core/errors.ts';
import type { Image } from '../core/image.ts';
import type { Tensor } from '../core/tensor.ts';
import { encodePng } from './image-io.node.ts';
import { imageOfPlanes } from './transforms/pixels.ts';

/** Pixels between the pictures of a grid. */
const GAP = 4;

/** pictureGrid: tensors f32[N,3,H,W] 0..1, one grid column each (input, prediction, target ...) -> an RGB picture, a row per sample. */
export function pictureGrid(columns: readonly Tensor<'float32'>[], rows = columns[0]?.dims[0] ?? 0): Image {
  const [, channels, height = 0, width = 0] = columns[0]?.dims ?? [];
  ensure(
    channels === 3 && columns.every((column) => String(column.dims) === String(columns[0]?.dims)),
    'bad-shape',
    () => {
      return `pictureGrid: expected equal shapes [N,3,H,W], got ${columns.map((column) => `[${column.dims}]`).join(' ')}`;
    },
  );
  const cell = (column: Tensor<'float32'>, row: number): Image =>
    imageOfPlanes(column.data.subarray(row * 3 * height * width), { width, height });
  return imageGrid(Array.from({ length: rows }, (_, row) => columns.map((column) => cell(column, row))));
}

/** showBatch: writes a PNG with a row per sample: x on the left, y beside it, then `more` (predictions, say). */
export async function showBatch(
  batch: { readonly x: Tensor<'float32'>; readonly y: Tensor<'float32'> },
  path: string,
  more: readonly Tensor<'float32'>[] = [],
): Promise<void> {
  await writeFile(path, await encodePng(pictureGrid([batch.x, batch.y, ...more])));
}

/** imageGrid: rows of RGB pictures of any sizes -> one picture; every cell is as large as the largest picture. */
export function imageGrid(rows: readonly (readonly Image[])[]): Image {
  const all = rows.flat();
  const cell = {
    width: Math.max(...all.map(({ width }) => width)),
    height: Math.max(...all.map(({ height }) => height)),
  };
  const columns = Math.max(...rows.map((row) => row.length));
  const size = { width: GAP + columns * (cell.width + GAP), height: GAP + rows.length * (cell.height + GAP) };
  const grid: Image = { ...size, channels: 3, data: new Uint8Array(3 * size.width * size.height).fill(255) };
  rows.forEach((row, r) => {
    row.forEach((image, c) => {
      copyInto(grid, image, GAP + c * (cell.width + GAP), GAP + r * (cell.height + GAP));
    });
  });
  return grid;
}

/** Copies an RGB picture into another at (x, y), row by row. */
function copyInto(target: Image, image: Image, x: number, y: number): void {
  for (let row = 0; row < image.height; row++) {
    const line = image.data.subarray(3 * row * image.width, 3 * (row + 1) * image.width);
    target.data.set(line, 3 * ((y + row) * target.width + x));
  }
}
