import { ensure } from '../../core/errors.ts';
import type { Size } from '../sizes.ts';

/*
 * COCO's masks: run lengths down the columns, of pixels outside and inside by turns, the first run outside; as numbers, or packed into a
 * string of characters 48..111 (five bits and a flag each; from the fourth run on the difference to the last but one).
 */

/** A run-length mask as COCO's files have it: `size` is [height, width]. */
export interface Rle {
  readonly size: readonly [number, number];
  readonly counts: readonly number[] | string;
}

/** A mask as {@link encodeRles} writes it. */
export interface PackedRle extends Rle {
  readonly counts: string;
}

/** encodeRles: class ids u8 0..classes-1 -> for each class which pixels have it, as run lengths packed into a string; one walk over the ids. */
export function encodeRles(ids: Uint8Array, { width, height }: Size, classes: number): PackedRle[] {
  const counts = Array.from({ length: classes }, (): number[] => []);
  const ends = new Float64Array(classes);
  let [id, start] = [ids[0]!, 0];
  const finish = (end: number): void => {
    counts[id]?.push(start - ends[id]!, end - start);
    ends[id] = end;
    start = end;
  };
  for (let x = 0, at = 0; x < width; x++) {
    for (let y = 0, from = x; y < height; y++, at++, from += width) {
      const now = ids[from]!;
      if (now === id) continue;
      finish(at);
      id = now;
    }
  }
  const total = width * height;
  finish(total);
  return counts.map((runs, one) => {
    const rest = total - ends[one]!;
    return { size: [height, width], counts: packCounts(rest > 0 ? [...runs, rest] : runs) };
  });
}

/** encodeRle: which pixels have the id, as run lengths packed into a string. */
export const encodeRle = (ids: Uint8Array, size: Size, id: number): PackedRle => encodeRles(ids, size, id + 1)[id]!;

function packCounts(counts: readonly number[]): string {
  let text = '';
  counts.forEach((count, i) => {
    let value = i > 2 ? count - counts[i - 2]! : count;
    for (let more = true; more; ) {
      const bits = value & 31;
      value >>= 5;
      more = bits & 16 ? value !== -1 : value !== 0;
      text += String.fromCharCode(48 + bits + (more ? 32 : 0));
    }
  });
  return text;
}

function unpackCounts(text: string): number[] {
  const counts: number[] = [];
  for (let at = 0; at < text.length; ) {
    let [value, shift, more] = [0, 0, true];
    while (more) {
      const code = text.charCodeAt(at++) - 48;
      ensure(code >= 0 && code < 64, 'bad-data', () => 'rle: expected characters 48..111 to the end, got another');
      value |= (code & 31) << shift;
      shift += 5;
      more = code >= 32;
      if (!more && code & 16) value |= -1 << shift;
    }
    counts.push(counts.length > 2 ? value + counts[counts.length - 2]! : value);
  }
  return counts;
}

/** paintRle: gives the mask's pixels the id, in ids of the same size. Throws `bad-data` when the runs do not fill it. */
export function paintRle(ids: Uint8Array, { size: [height, width], counts }: Rle, id: number): void {
  const runs = typeof counts === 'string' ? unpackCounts(counts) : counts;
  const total = runs.reduce((sum, run) => sum + run, 0);
  ensure(total === width * height && ids.length === total && runs.every((run) => run >= 0), 'bad-data', () => {
    return `rle: expected runs that fill ${width}x${height} = ${ids.length} pixels, got ${total}`;
  });
  let at = 0;
  runs.forEach((run, turn) => {
    const end = at + run;
    for (; at < end; at++) if (turn % 2 === 1) ids[(at % height) * width + Math.floor(at / height)] = id;
  });
}

/** paintPolygon: gives the pixels whose centres lie inside x0, y0, x1, y1, ... (even-odd rule) the id. */
export function paintPolygon(ids: Uint8Array, { width, height }: Size, points: readonly number[], id: number): void {
  const count = points.length / 2;
  ensure(Number.isInteger(count) && count >= 3, 'bad-data', () => {
    return `polygon: expected at least three points x, y, got ${points.length} numbers`;
  });
  for (let row = 0; row < height; row++) {
    const y = row + 0.5;
    const crossings: number[] = [];
    for (let i = 0; i < count; i++) {
      const j = (i + 1) % count;
      const [x0, y0, x1, y1] = [points[2 * i]!, points[2 * i + 1]!, points[2 * j]!, points[2 * j + 1]!];
      if (y0 <= y !== y1 <= y) crossings.push(x0 + ((y - y0) / (y1 - y0)) * (x1 - x0));
    }
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const from = Math.max(0, Math.ceil(crossings[i]! - 0.5));
      const to = Math.min(width, Math.ceil(crossings[i + 1]! - 0.5));
      ids.fill(id, row * width + from, row * width + Math.max(from, to));
    }
  }
}
