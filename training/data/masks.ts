import { ensure } from '../core/errors.ts';
import type { Image } from '../core/image.ts';
import { type Tensor, tensor } from '../core/tensor.ts';
import { type Size, sizeForShortSide } from './sizes.ts';
import { frameFor, frameMatrix } from './transforms/frame.ts';
import { samplePlanes, unitTable } from './transforms/resample.ts';

/*
 * From a picture to what a segmentation net takes, and from its probabilities back to a class for every pixel: the same code in
 * training, on the server and in the browser.
 */

/** segmentSize: the size at which a picture goes through the net: its short side `shortSide`, both sides whole multiples of 8 (the nearest). */
export function segmentSize(picture: Size, shortSide: number): Size {
  const { width, height } = sizeForShortSide(picture, shortSide);
  const whole = (side: number): number => Math.max(8, Math.round(side / 8) * 8);
  return { width: whole(width), height: whole(height) };
}

/** segmentInput: a picture RGB(A) u8, stretched to `size` as in training -> f32[1,3,H,W] 0..1. */
export function segmentInput(image: Image, size: Size): Tensor<'float32'> {
  ensure(image.channels !== 1, 'bad-argument', () => 'segmentInput: expected a picture in colour, got a grey one');
  const data = new Float32Array(3 * size.width * size.height);
  const matrix = frameMatrix(frameFor(image, size, 'squish'), size);
  samplePlanes(image, { matrix, size, padding: 'border' }, [unitTable, unitTable, unitTable], data);
  return tensor('float32', [1, 3, size.height, size.width], data);
}

/** Where the pixels of a row of `to` lie in one of `from`: the left neighbour, the right one, and the share of the right. */
function neighbours(from: number, to: number) {
  const left = new Int32Array(to);
  const right = new Int32Array(to);
  const share = new Float32Array(to);
  for (let i = 0; i < to; i++) {
    const place = Math.max(0, Math.min(from - 1, ((i + 0.5) * from) / to - 0.5));
    left[i] = Math.floor(place);
    right[i] = Math.min(from - 1, left[i]! + 1);
    share[i] = place - left[i]!;
  }
  return { left, right, share };
}

/**
 * classIds: probabilities f32[1,K,H,W], enlarged bilinearly to `size` -> the most probable class of every pixel, u8 0..K-1; of equal
 * ones the first.
 */
export function classIds({ data, dims }: Tensor<'float32'>, size: Size): Image {
  const [, classes = 0, height = 0, width = 0] = dims;
  const [xs, ys] = [neighbours(width, size.width), neighbours(height, size.height)];
  const ids = new Uint8Array(size.width * size.height);
  const best = new Float32Array(size.width);
  const line = new Float32Array(width);
  for (let row = 0; row < size.height; row++) {
    best.fill(Number.NEGATIVE_INFINITY);
    const [upper, lower, down] = [ys.left[row]! * width, ys.right[row]! * width, ys.share[row]!];
    for (let c = 0; c < classes; c++) {
      const plane = c * height * width;
      for (let x = 0; x < width; x++) {
        const above = data[plane + upper + x]!;
        line[x] = above + (data[plane + lower + x]! - above) * down;
      }
      for (let x = 0; x < size.width; x++) {
        const start = line[xs.left[x]!]!;
        const value = start + (line[xs.right[x]!]! - start) * xs.share[x]!;
        if (value <= best[x]!) continue;
        best[x] = value;
        ids[row * size.width + x] = c;
      }
    }
  }
  return { ...size, channels: 1, data: ids };
}
