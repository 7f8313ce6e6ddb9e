/** Width and height in pixels, both at least 1. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** sizeForShortSide: `size` scaled so that its short side is `shortSide`; the long side is rounded to the nearest pixel. */
export function sizeForShortSide({ width, height }: Size, shortSide: number): Size {
  const scale = shortSide / Math.min(width, height);
  const scaled = (side: number, other: number): number =>
    side <= other ? shortSide : Math.max(1, Math.round(side * scale));
  return { width: scaled(width, height), height: scaled(height, width) };
}

/** The picture's short side in pixels. */
export const shortSideOf = ({ width, height }: Size): number => Math.min(width, height);

/** Both sides times `factor`. */
export const scaleSize = ({ width, height }: Size, factor: number): Size => ({
  width: width * factor,
  height: height * factor,
});
