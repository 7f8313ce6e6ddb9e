/** A projective map of the plane, row-major 3x3: (x, y) -> (X/W, Y/W) with (X, Y, W) = matrix * (x, y, 1). */
export type Matrix = readonly number[];

export const identity: Matrix = [1, 0, 0, 0, 1, 0, 0, 0, 1];

/** multiply: the map that applies `second` after `first`. */
export function multiply(second: Matrix, first: Matrix): Matrix {
  const product = new Array<number>(9);
  for (let i = 0; i < 9; i++) {
    const column = i % 3;
    const row = i - column;
    product[i] =
      second[row]! * first[column]! + second[row + 1]! * first[column + 3]! + second[row + 2]! * first[column + 6]!;
  }
  return product;
}

export const scaling = (x: number, y: number): Matrix => [x, 0, 0, 0, y, 0, 0, 0, 1];

export const translation = (x: number, y: number): Matrix => [1, 0, x, 0, 1, y, 0, 0, 1];

/** rotation: by `degrees` about the origin; clockwise on the screen, where y points down. */
export function rotation(degrees: number): Matrix {
  const angle = (degrees * Math.PI) / 180;
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return [c, -s, 0, s, c, 0, 0, 0, 1];
}

/** dihedral: symmetry `index` 0..7 of the square: bit 0 mirrors left-right, bit 1 top-bottom, bit 2 swaps x and y. */
export function dihedral(index: number): Matrix {
  const mirrored = scaling(index & 1 ? -1 : 1, index & 2 ? -1 : 1);
  return index & 4 ? multiply([0, 1, 0, 1, 0, 0, 0, 0, 1], mirrored) : mirrored;
}

/** mapPoint: where the map takes (x, y). */
export function mapPoint(m: Matrix, x: number, y: number): readonly [number, number] {
  const w = m[6]! * x + m[7]! * y + m[8]!;
  return [(m[0]! * x + m[1]! * y + m[2]!) / w, (m[3]! * x + m[4]! * y + m[5]!) / w];
}

/** Solves the square system whose rows are [coefficients..., right side] by elimination with row pivots; rows are used up. */
function solve(rows: number[][]): number[] {
  const n = rows.length;
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let r = column + 1; r < n; r++) {
      if (Math.abs(rows[r]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = r;
    }
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    const head = rows[column]!;
    for (let r = 0; r < n; r++) {
      const row = rows[r]!;
      const factor = r === column ? 0 : row[column]! / head[column]!;
      if (factor !== 0) for (let c = column; c <= n; c++) row[c]! -= factor * head[c]!;
    }
  }
  return rows.map((row, i) => row[n]! / row[i]!);
}

export type Points = readonly (readonly [x: number, y: number])[];

/** projection: the map that takes each of four points (no three on a line) to its partner. */
export function projection(from: Points, to: Points): Matrix {
  const rows = from.flatMap(([x, y], i) => {
    const [u, v] = to[i]!;
    return [
      [x, y, 1, 0, 0, 0, -u * x, -u * y, u],
      [0, 0, 0, x, y, 1, -v * x, -v * y, v],
    ];
  });
  return [...solve(rows), 1];
}
