import { ensure } from './errors.ts';

/**
 * A dimension known only when the graph runs: `num/den * symbol + offset`, where the symbol's value is promised to be a
 * multiple of `multipleOf`. The promise makes halving and doubling exact, so shapes stay comparable.
 */
export interface SymDim {
  readonly symbol: string;
  readonly multipleOf: number;
  readonly num: number;
  readonly den: number;
  readonly offset: number;
  /** See {@link anyDim}. */
  readonly free?: true;
}

export type Dim = number | SymDim;
export type Shape = readonly Dim[];

/** A symbolic dimension for graph inputs, e.g. `symDim('H', 8)`: any height that is a multiple of 8. */
export const symDim = (symbol: string, multipleOf = 1): SymDim => ({ symbol, multipleOf, num: 1, den: 1, offset: 0 });

/**
 * A dimension of any size at all. Where it does not divide, the rounded quotient becomes a dimension of its own, equal only to what
 * was rounded in the same way: two maps of one stride-2 layer agree, and neither agrees with half of the picture.
 */
export const anyDim = (symbol: string): SymDim => ({ ...symDim(symbol), free: true });

const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b));

const make = (dim: SymDim, num: number, den: number, offset: number): Dim => {
  const shared = gcd(num, den);
  return { ...dim, num: num / shared, den: den / shared, offset };
};

/** `dim + amount`. */
export const addDim = (dim: Dim, amount: number): Dim =>
  typeof dim === 'number' ? dim + amount : make(dim, dim.num, dim.den, dim.offset + amount);

/** `dim * factor`, factor a whole number. */
export const mulDim = (dim: Dim, factor: number): Dim =>
  typeof dim === 'number' ? dim * factor : make(dim, dim.num * factor, dim.den, dim.offset * factor);

/** `floor(dim / divisor)`; exact for symbols by their multiple, else a new symbol for those of {@link anyDim}, else `bad-shape`. */
export function divDim(dim: Dim, divisor: number, where: string): Dim {
  if (typeof dim === 'number') return Math.floor(dim / divisor);
  const exact = (dim.multipleOf * dim.num) % (dim.den * divisor) === 0;
  if (!exact && dim.free) return anyDim(`floor((${showDim(dim)})/${divisor})`);
  ensure(exact, 'bad-shape', () => {
    return `${where}: expected ${showDim(dim)} to divide by ${divisor}, got ${dim.symbol} a multiple of ${dim.multipleOf}; declare a larger multiple`;
  });
  return make(dim, dim.num, dim.den * divisor, Math.floor(dim.offset / divisor));
}

/** True when both dimensions are always equal. */
export const sameDim = (a: Dim, b: Dim): boolean =>
  typeof a === 'number' || typeof b === 'number'
    ? a === b
    : a.symbol === b.symbol && a.num * b.den === b.num * a.den && a.offset === b.offset;

export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((dim, i) => sameDim(dim, b[i]!));

export function showDim(dim: Dim): string {
  if (typeof dim === 'number') return String(dim);
  const factor = `${dim.num === 1 ? '' : `${dim.num}*`}${dim.symbol}${dim.den === 1 ? '' : `/${dim.den}`}`;
  return dim.offset === 0 ? factor : `${factor}${dim.offset > 0 ? '+' : ''}${dim.offset}`;
}

export const showShape = (shape: Shape): string => `[${shape.map(showDim).join(',')}]`;

/** The shape as plain numbers; throws `bad-shape` if a dimension is symbolic. */
export function staticShape(shape: Shape, where: string): readonly number[] {
  ensure(
    shape.every((dim) => typeof dim === 'number'),
    'bad-shape',
    () => {
      return `${where}: expected a fixed shape, got ${showShape(shape)}; this operation cannot run on symbolic dimensions`;
    },
  );
  return shape as readonly number[];
}

/** Result shape of NumPy-style broadcasting; throws `bad-shape` naming both shapes. */
export function broadcastShapes(a: Shape, b: Shape, where: string): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const da = a[a.length - rank + i] ?? 1;
    const db = b[b.length - rank + i] ?? 1;
    if (da === 1) return db;
    ensure(db === 1 || sameDim(da, db), 'bad-shape', () => {
      return `${where}: expected shapes that broadcast, got ${showShape(a)} and ${showShape(b)}`;
    });
    return da;
  });
}

/** `axis` counted from the front, 0..rank-1; throws `bad-argument` when out of range. */
export function normalAxis(axis: number, rank: number, where: string): number {
  const positive = axis < 0 ? axis + rank : axis;
  ensure(positive >= 0 && positive < rank, 'bad-argument', () => {
    return `${where}: expected an axis in ${-rank}..${rank - 1}, got ${axis}`;
  });
  return positive;
}
