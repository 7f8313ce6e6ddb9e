import { staticShape } from '../core/shape.ts';
import type { Value } from '../onnx/graph.ts';
import * as o from './build.ts';

/*
 * Even and odd rows and columns of pictures. Elements are picked out and put back by a product with a permutation, which on the
 * CPU is several times as fast as moving them one by one. (An infinite element makes its whole row NaN.)
 */

/** The permutation that puts the even ones of 2w columns before the odd ones, [2w,2w]. */
function evenFirst(x: Value, w: number): Value {
  const data = new Float32Array(4 * w * w);
  for (let from = 0; from < 2 * w; from++) data[from * 2 * w + (from % 2) * w + (from >> 1)] = 1;
  return x.graph.constant('float32', [2 * w, 2 * w], data, `even_first_${w}`);
}

/** x[N,C,2h,2w] -> [N,C,h,2,2,w]: row and column, each as (pair, even or odd), the columns' parity before their pair. */
export function evenOdd(x: Value): Value {
  const [n, c, height, width] = staticShape(x.shape, 'evenOdd') as [number, number, number, number];
  const sorted = o.matmul(x, evenFirst(x, width / 2));
  return o.reshape(sorted, [n, c, height / 2, 2, 2, width / 2]);
}

/** The inverse of {@link evenOdd}: [N,C,h,2,2,w] -> [N,C,2h,2w]. */
export function interleave(parts: Value): Value {
  const [n, c, h, , , w] = staticShape(parts.shape, 'interleave') as [number, number, number, number, number, number];
  const sorted = o.reshape(parts, [n, c, 2 * h, 2 * w]);
  return o.matmul(sorted, o.transpose(evenFirst(parts, w), [1, 0]));
}
