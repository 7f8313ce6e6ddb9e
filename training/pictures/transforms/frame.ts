import type { Rng } from '../../core/rng.ts';
import type { Size } from '../sizes.ts';
import { type Matrix, multiply, scaling, translation } from './geometry.ts';
import type { Rect } from './pixels.ts';

/** How a picture of another shape gets the output's: stretched, cut to fill, or fitted inside with padding around. */
export type ResizeMethod = 'squish' | 'crop' | 'pad';

/** A rectangle of a source picture, in shares of its width and height; it may reach outside 0..1. */
export type Frame = Rect;

/** Where a frame that is smaller (or larger) than the picture lies: 0 left or top, 1 right or bottom. */
export interface FramePlace {
  readonly x: number;
  readonly y: number;
}

const CENTRE: FramePlace = { x: 0.5, y: 0.5 };

/** frameFor: the part of a source that fills an output of `size`. `place` matters only where something is cut off. */
export function frameFor(source: Size, size: Size, method: ResizeMethod, place: FramePlace = CENTRE): Frame {
  if (method === 'squish') return { x: 0, y: 0, width: 1, height: 1 };
  const [across, down] = [source.width / size.width, source.height / size.height];
  const scale = method === 'crop' ? Math.min(across, down) : Math.max(across, down);
  const [width, height] = [scale / across, scale / down];
  const { x, y } = method === 'crop' ? place : CENTRE;
  return { x: (1 - width) * x, y: (1 - height) * y, width, height };
}

/** Ranges of a random resized crop: its share of the picture's area, and its width over its height. */
export interface CropRanges {
  readonly area: readonly [number, number];
  readonly ratio: readonly [number, number];
}

/**
 * randomFrame: a crop of random area and shape that lies inside the source; after ten misses the largest one in the
 * middle. Szegedy et al., "Going deeper with convolutions", 2014, section 6; the ratio is log-uniform.
 */
export function randomFrame(source: Size, size: Size, { area, ratio }: CropRanges, rng: Rng): Frame {
  for (let attempt = 0; attempt < 10; attempt++) {
    const share = area[0] + (area[1] - area[0]) * rng.next();
    const shape = ratio[0] * (ratio[1] / ratio[0]) ** rng.next();
    // width * height = share, and (width * source.width) / (height * source.height) = shape.
    const width = Math.sqrt((share * shape * source.height) / source.width);
    const height = share / width;
    const [x, y] = [rng.next(), rng.next()];
    if (width <= 1 && height <= 1) return { x: (1 - width) * x, y: (1 - height) * y, width, height };
  }
  return frameFor(source, size, 'crop');
}

/** frameMatrix: output pixels from the centre -> shares of the source, where `frame` fills an output of `size`. */
export const frameMatrix = ({ x, y, width, height }: Frame, size: Size): Matrix =>
  multiply(translation(x + width / 2, y + height / 2), scaling(width / size.width, height / size.height));
