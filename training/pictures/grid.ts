import type { Image } from '../core/image.ts';

/** Pixels between the pictures of a grid. */
const GAP = 4;

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

/** copyInto: copies an RGB picture into another at (x, y), row by row. */
export function copyInto(target: Image, image: Image, x: number, y: number): void {
  for (let row = 0; row < image.height; row++) {
    const line = image.data.subarray(3 * row * image.width, 3 * (row + 1) * image.width);
    target.data.set(line, 3 * ((y + row) * target.width + x));
  }
}
