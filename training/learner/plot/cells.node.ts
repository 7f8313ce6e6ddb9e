import type { Image } from '../../core/image.ts';
import { sizeOf, type Tensor } from '../../core/tensor.ts';
import { encodePng } from '../../data/image-io.node.ts';
import type { Learner, Loader } from '../create-learner.ts';
import { firstResults, type ItemResult, topClass, topLosses } from '../interpret.ts';
import { ink, textElement, toSvg } from './svg.ts';

/** One picture of a grid with a line of text above it. */
export interface Cell {
  readonly images: readonly Image[];
  readonly caption: string;
  readonly color?: string;
}

const good = '#1b7f3b';
const bad = '#c0202f';
const gap = 14;
const captionHeight = 20;

/** pictureCells: captioned pictures in `columns` columns -> SVG. Small pictures are enlarged to `side` (96) pixels, pixels kept visible. */
export async function pictureCells(
  cells: readonly Cell[],
  {
    columns = 3,
    side = 96,
    title,
  }: { readonly columns?: number; readonly side?: number; readonly title?: string } = {},
): Promise<string> {
  const scaleOf = ({ width, height }: Image): number => Math.max(1, side / Math.max(width, height));
  const wide = Math.max(
    ...cells.map(({ images }) => images.reduce((sum, image) => sum + image.width * scaleOf(image) + 4, -4)),
    side,
  );
  const high = Math.max(...cells.flatMap(({ images }) => images.map((image) => image.height * scaleOf(image))));
  const top = title === undefined ? gap : gap + 24;
  const elements: string[] = title === undefined ? [] : [textElement(title, gap, 12, { size: 9 })];
  for (const [i, { images, caption, color = ink }] of cells.entries()) {
    let x = gap + (i % columns) * (wide + gap);
    const y = top + Math.floor(i / columns) * (high + captionHeight + gap);
    elements.push(textElement(caption, x, y, { size: 8, color }));
    for (const image of images) {
      const [width, height] = [image.width * scaleOf(image), image.height * scaleOf(image)];
      const data = (await encodePng(image)).toString('base64');
      const place = `x="${x}" y="${y + captionHeight}" width="${width}" height="${height}"`;
      elements.push(`<image ${place} image-rendering="pixelated" xlink:href="data:image/png;base64,${data}"/>`);
      x += width + 4;
    }
  }
  const rows = Math.ceil(cells.length / columns);
  const width = gap + Math.min(columns, cells.length) * (wide + gap);
  return toSvg({ width, height: top + rows * (high + captionHeight + gap), elements });
}

/** The values of one item [C,H,W] as a picture: 1 or 3 channels as they are shown, values stretched to the item's own range. */
export function itemPicture({ data, dims }: Tensor, range?: readonly [number, number]): Image {
  const [channels = 1, height = 0, width = 0] = dims.length === 2 ? [1, ...dims] : dims;
  const values = data as Float32Array;
  let [low, high] = range ?? [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  if (range === undefined) for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const span = high > low ? high - low : 1;
  const pixels = new Uint8Array(3 * height * width);
  for (let c = 0; c < 3; c++) {
    const plane = Math.min(c, channels - 1) * height * width;
    for (let i = 0; i < height * width; i++)
      pixels[3 * i + c] = Math.max(0, Math.min(255, Math.round((255 * (values[plane + i]! - low)) / span)));
  }
  return { width, height, channels: 3, data: pixels };
}

export interface ShowOptions {
  readonly count?: number;
  readonly loader?: Loader;
  readonly columns?: number;
  /** Names of the classes. */
  readonly names?: readonly string[];
  /** The picture of x; stretched to its own range when left out. Give a denormalising one for true colours. */
  readonly picture?: (x: Tensor) => Image;
}

const isPicture = ({ dims }: Tensor): boolean => dims.length === 3 && (dims[0] === 1 || dims[0] === 3);

/** Input, target and prediction as a cell: class names for scores [C], pictures for pictures. */
function cellOf(item: ItemResult, { names, picture = (x) => itemPicture(x) }: ShowOptions, extra: string): Cell {
  const { x, y, prediction } = item;
  if (isPicture(prediction) && sizeOf(y.dims) === sizeOf(prediction.dims)) {
    return { images: [picture(x), picture(prediction), picture(y)], caption: extra.trim() || `item ${item.index}` };
  }
  const name = (label: number): string => names?.[label] ?? String(label);
  const [actual, predicted] = [Number(y.data[0]), topClass(prediction)];
  return {
    images: [picture(x)],
    caption: `${name(actual)} / ${name(predicted)}${extra}`,
    color: actual === predicted ? good : bad,
  };
}

/** showResults: the first items of the validation set with target / prediction -> SVG; for pictures input, prediction, target. */
export async function showResults(learner: Learner, options: ShowOptions = {}): Promise<string> {
  const items = await firstResults(learner, options);
  return pictureCells(
    items.map((item) => cellOf(item, options, '')),
    { ...options, title: items[0]?.prediction.dims.length === 1 ? 'target / prediction' : 'input, prediction, target' },
  );
}

/** plotTopLosses: the items with the highest losses, with target / prediction, loss and probability of the target -> SVG. */
export async function plotTopLosses(learner: Learner, options: ShowOptions = {}): Promise<string> {
  const items = await topLosses(learner, options);
  const cells = items.map((item) => {
    const probability = item.prediction.dims.length === 1 ? item.prediction.data[Number(item.y.data[0])] : undefined;
    const more = probability === undefined ? '' : ` / ${probability.toFixed(2)}`;
    return cellOf(item, options, ` / ${item.loss.toFixed(2)}${more}`);
  });
  const scores = items[0]?.prediction.dims.length === 1;
  const title = `target / prediction / loss${scores ? ' / probability of the target' : ''}`;
  return pictureCells(cells, { ...options, side: 128, title });
}
