import { writeFile } from 'node:fs/promises';
import type { Image } from '../core/image.ts';
import type { Tensor } from '../core/tensor.ts';
import { copyInto } from '../pictures/grid.ts';
import { encodePng } from '../pictures/image-io.node.ts';
import { drawText, fitText } from '../pictures/text-font.ts';
import { denormalise, type Statistics } from '../pictures/transforms/normalise.ts';
import type { LabelSpec } from './sample.ts';
import type { BlockBatch, LabelKind } from './types.ts';

/** What is needed to show a batch; loaders have it. */
export interface ShowContext {
  readonly vocab: readonly string[];
  readonly statistics: Statistics | undefined;
  readonly spec: { readonly label: LabelSpec };
}

export interface ShowOptions {
  /** Samples to show; default 16, at most those of the batch. */
  readonly count?: number;
  readonly columns?: number;
  /** A text for each sample instead of its label. */
  readonly captions?: readonly string[];
  /** Of masks: the colours of the classes, RGB 0..255 by id; made up by default. */
  readonly colors?: readonly (readonly number[])[];
}

/** classColor: a colour for each class id, well apart from its neighbours' (steps of the golden angle in hue). */
export function classColor(id: number): readonly [number, number, number] {
  const hue = (id * 137.508) % 360;
  const channel = (offset: number): number => {
    const k = (offset + hue / 30) % 12;
    return Math.round(255 * (0.55 - 0.4 * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}

/** Sample `index` of f32[N,C,H,W] 0..1 as an RGB picture, each pixel `zoom` times as large. */
function pictureOf(x: Tensor<'float32'>, index: number, zoom: number): Image {
  const [, channels = 1, height = 0, width = 0] = x.dims;
  const plane = height * width;
  const size = { width: width * zoom, height: height * zoom };
  const data = new Uint8ClampedArray(3 * size.width * size.height);
  for (let i = 0; i < data.length; i++) {
    const pixel = Math.floor(i / 3);
    const column = Math.floor((pixel % size.width) / zoom);
    const row = Math.floor(Math.floor(pixel / size.width) / zoom);
    const channel = channels === 1 ? 0 : i % 3;
    data[i] = 255 * x.data[(index * channels + channel) * plane + row * width + column]!;
  }
  return { ...size, channels: 3, data: new Uint8Array(data.buffer) };
}

export interface OverlayOptions {
  readonly zoom?: number;
  readonly ignoreId?: number | undefined;
  /** RGB 0..255 of an id; {@link classColor} by default. */
  readonly colorOf?: (id: number) => readonly number[];
}

/**
 * overlayMask: an RGB picture half covered by the colours of class ids, one per pixel, or per `zoom` x `zoom` pixels; where
 * the id is `ignoreId` it stays as it is.
 */
export function overlayMask(
  picture: Image,
  ids: ArrayLike<number>,
  { zoom = 1, ignoreId, colorOf = classColor }: OverlayOptions = {},
): Image {
  const width = picture.width / zoom;
  const data = picture.data.slice();
  for (let pixel = 0; pixel < picture.width * picture.height; pixel++) {
    const [column, row] = [
      Math.floor((pixel % picture.width) / zoom),
      Math.floor(Math.floor(pixel / picture.width) / zoom),
    ];
    const id = ids[row * width + column]!;
    if (id === ignoreId) continue;
    colorOf(id).forEach((value, c) => {
      data[3 * pixel + c] = Math.round((data[3 * pixel + c]! + value) / 2);
    });
  }
  return { ...picture, data };
}

/** The label of a sample in words; nothing where it is a picture. */
function captionOf({ y }: BlockBatch, index: number, kind: LabelKind, vocab: readonly string[]): string {
  const size = y.dims.slice(1).reduce((product, dim) => product * dim, 1);
  const values = [...y.data.subarray(index * size, (index + 1) * size)];
  if (kind === 'category') return vocab[values[0]!] ?? String(values[0]);
  if (kind === 'multi') return vocab.filter((_, id) => values[id] === 1).join(' ');
  return values.map((value) => String(Number(value.toPrecision(4)))).join(' ');
}

/** Smallest side of a shown picture in pixels, height of a caption's capitals, and space around things. */
const LEAST = 84;
const CAPITAL = 11;
const GAP = 4;
const CAPTION = Math.round(1.6 * CAPITAL);

/** batchPicture: a grid of a batch's pictures, each with its label: below it, or as the picture beside it. */
export function batchPicture(
  batch: BlockBatch,
  { vocab, statistics, spec }: ShowContext,
  options: ShowOptions = {},
): Image {
  const { kind, ignoreId } = spec.label;
  const x = statistics ? denormalise(batch.x, statistics) : batch.x;
  const [, , height = 1, width = 1] = x.dims;
  const zoom = Math.max(1, Math.ceil(LEAST / Math.min(width, height)));
  const count = Math.min(batch.items.length, options.count ?? 16);
  const columns = Math.min(count, options.columns ?? Math.ceil(Math.sqrt(count)));
  const paired = kind === 'image' || kind === 'damaged';
  const pictures = paired || kind === 'mask' ? 2 : 1;
  const colorOf = (id: number): readonly number[] => options.colors?.[id] ?? classColor(id);
  const captioned = pictures === 1 || options.captions !== undefined;
  const cell = { width: pictures * zoom * width + GAP, height: zoom * height + GAP + (captioned ? CAPTION : 0) };
  const size = { width: columns * cell.width + GAP, height: Math.ceil(count / columns) * cell.height + GAP };
  const grid: Image = { ...size, channels: 3, data: new Uint8Array(3 * size.width * size.height).fill(255) };
  for (let i = 0; i < count; i++) {
    const [left, top] = [GAP + (i % columns) * cell.width, GAP + Math.floor(i / columns) * cell.height];
    const picture = pictureOf(x, i, zoom);
    copyInto(grid, picture, left, top);
    if (paired) copyInto(grid, pictureOf(batch.y as Tensor<'float32'>, i, zoom), left + picture.width, top);
    if (kind === 'mask') {
      const ids = (batch.y as Tensor<'int32'>).data.subarray(i * width * height, (i + 1) * width * height);
      copyInto(grid, overlayMask(picture, ids, { zoom, ignoreId, colorOf }), left + picture.width, top);
    }
    const caption = options.captions?.[i] ?? captionOf(batch, i, kind, vocab);
    if (captioned)
      drawText(grid, fitText(caption, cell.width - GAP, CAPITAL), {
        left,
        top: top + zoom * height + 3,
        height: CAPITAL,
      });
  }
  return grid;
}

/** showSamples: {@link batchPicture} as a PNG file: `showSamples(batch, loaders, 'batch.png')`. */
export async function showSamples(
  batch: BlockBatch,
  context: ShowContext,
  path: string,
  options: ShowOptions = {},
): Promise<void> {
  await writeFile(path, await encodePng(batchPicture(batch, context, options)));
}
