import type { Image } from '../core/image.ts';
import { knownKeys, namesOf } from '../core/known-keys.ts';
import { sameShape } from '../core/shape.ts';
import { sizeOf, type Tensor } from '../core/tensor.ts';
import { classColor, overlayMask } from '../data/show.node.ts';
import type { Learner, Loader } from '../learner/learner.ts';
import { encodePng } from '../pictures/image-io.node.ts';
import { textWidth } from '../pictures/text-font.ts';
import { denormalise, type Statistics } from '../pictures/transforms/normalise.ts';
import { firstResults, type ItemResult, topClass, topLosses } from './interpret.ts';
import { ink, rectElement, textElement, toSvg } from './svg.ts';

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

/** A class and its colour, RGB 0..255. */
export interface LegendEntry {
  readonly text: string;
  readonly color: readonly number[];
}

export interface CellsOptions {
  readonly columns?: number;
  /** Small pictures are enlarged until their longer side has so many pixels; 96 by default. */
  readonly side?: number;
  readonly title?: string;
  /** Below the pictures. */
  readonly legend?: readonly LegendEntry[];
}

/** Squares in the colours, each with its text beside it, in rows of at most `width`. */
function legendElements(legend: readonly LegendEntry[], top: number, width: number) {
  const elements: string[] = [];
  let [x, y] = [gap, top];
  for (const { text, color } of legend) {
    const length = 14 + textWidth(text, 8) + gap;
    if (x > gap && x + length > width) [x, y] = [gap, y + captionHeight];
    elements.push(rectElement(x, y, 10, 10, `rgb(${color.join(' ')})`), textElement(text, x + 14, y, { size: 8 }));
    x += length;
  }
  return { elements, bottom: legend.length === 0 ? top : y + captionHeight };
}

/** pictureCells: captioned pictures in `columns` columns (3) -> SVG, every pixel kept visible. */
export async function pictureCells(
  cells: readonly Cell[],
  { columns = 3, side = 96, title, legend = [] }: CellsOptions = {},
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
  const below = legendElements(legend, top + rows * (high + captionHeight + gap), width);
  return toSvg({ width, height: below.bottom, elements: [...elements, ...below.elements] });
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
  /** Names of the classes; those of the learner's data by default. */
  readonly names?: readonly string[];
  /**
   * The picture of x. By default, for loaders of a data block its true colours; else its values stretched to their own
   * range.
   */
  readonly picture?: (x: Tensor) => Image;
  /** Label of pixels that do not count; that of the learner's data by default. */
  readonly ignoreId?: number;
  /** Of masks: the colours of the classes, RGB 0..255 by id; made up by default. */
  readonly colors?: readonly (readonly number[])[];
}

const showNames = namesOf<ShowOptions>({
  count: true,
  loader: true,
  columns: true,
  names: true,
  picture: true,
  ignoreId: true,
  colors: true,
});

/** How the items of a learner are shown. */
interface Look {
  readonly name: (label: number) => string;
  readonly picture: (x: Tensor) => Image;
  /** A target that is a picture, or a prediction of it. */
  readonly target: (y: Tensor) => Image;
  readonly ignoreId: number | undefined;
  readonly colorOf: (id: number) => readonly number[];
}

/** Values 0..1 of a normalised item [C,H,W] as a picture. */
function trueColours(x: Tensor, statistics: Statistics | undefined): Image {
  const batch = { ...x, dims: [1, ...x.dims] } as Tensor<'float32'>;
  return itemPicture({ ...x, data: statistics ? denormalise(batch, statistics).data : x.data } as Tensor, [0, 1]);
}

function lookOf({ options: { data } }: Learner, options: ShowOptions): Look {
  const names = options.names ?? data.vocab;
  // Targets are not normalised.
  const [ofX, ofY] =
    data.spec === undefined
      ? [itemPicture, itemPicture]
      : [(x: Tensor) => trueColours(x, data.statistics), (y: Tensor) => trueColours(y, undefined)];
  return {
    name: (label) => names?.[label] ?? String(label),
    picture: options.picture ?? ((x) => ofX(x)),
    target: options.picture ?? ((y) => ofY(y)),
    ignoreId: options.ignoreId ?? data.spec?.label.ignoreId,
    colorOf: (id) => options.colors?.[id] ?? classColor(id),
  };
}

type Kind = 'class' | 'mask' | 'picture';

/** Scores [C,H,W] beside ids [H,W] are a mask; a picture beside one of its size is one. */
function kindOf({ prediction, y }: Pick<ItemResult, 'prediction' | 'y'>): Kind {
  const { dims } = prediction;
  if (dims.length === 3 && y.dtype === 'int32' && sameShape(y.dims, dims.slice(1))) return 'mask';
  const isPicture = dims.length === 3 && (dims[0] === 1 || dims[0] === 3);
  return isPicture && sizeOf(y.dims) === sizeOf(dims) ? 'picture' : 'class';
}

const titles: Readonly<Record<Kind, string>> = {
  class: 'target / prediction',
  mask: 'target, prediction',
  picture: 'input, prediction, target',
};

/** The class of the highest score at each of the positions of [C,H,W]. */
function topClasses({ data, dims: [classes = 0, ...rest] }: Tensor<'float32'>): Int32Array {
  const plane = sizeOf(rest);
  return Int32Array.from({ length: plane }, (_, i) => {
    let best = 0;
    for (let c = 1; c < classes; c++) if (data[c * plane + i]! > data[best * plane + i]!) best = c;
    return best;
  });
}

/** The picture under the colours of its mask and of the predicted one, with the share of pixels that are right. */
function maskCell({ index, x, y, prediction }: ItemResult, { picture, ignoreId, colorOf }: Look, extra: string): Cell {
  const [image, ids, said] = [picture(x), y.data as Int32Array, topClasses(prediction)];
  const counted = [...ids.keys()].filter((i) => ids[i] !== ignoreId);
  const right = counted.filter((i) => ids[i] === said[i]).length / counted.length;
  return {
    images: [overlayMask(image, ids, { ignoreId, colorOf }), overlayMask(image, said, { colorOf })],
    caption: `${extra.trim() || `item ${index}`}: ${(100 * right).toFixed(0)} % right`,
  };
}

/** Input, target and prediction as a cell: class names for scores [C], coloured masks for masks, pictures for pictures. */
function cellOf(item: ItemResult, look: Look, extra = ''): Cell {
  const { x, y, prediction, index } = item;
  const kind = kindOf(item);
  if (kind === 'mask') return maskCell(item, look, extra);
  if (kind === 'picture') {
    const images = [look.picture(x), look.target(prediction), look.target(y)];
    return { images, caption: extra.trim() || `item ${index}` };
  }
  const [actual, predicted] = [Number(y.data[0]), topClass(prediction)];
  return {
    images: [look.picture(x)],
    caption: `${look.name(actual)} / ${look.name(predicted)}${extra}`,
    color: actual === predicted ? good : bad,
  };
}

/** What the colours of masks mean. */
const legendOf = (item: ItemResult | undefined, { name, colorOf }: Look): readonly LegendEntry[] =>
  item === undefined || kindOf(item) !== 'mask'
    ? []
    : Array.from({ length: item.prediction.dims[0]! }, (_, id) => ({ text: name(id), color: colorOf(id) }));

/**
 * showResults: the first items of the validation set with target / prediction -> SVG; for masks the picture under both, for
 * pictures input, prediction, target.
 */
export async function showResults(learner: Learner, options: ShowOptions = {}): Promise<string> {
  knownKeys('showResults', options, showNames);
  const items = await firstResults(learner, options);
  const look = lookOf(learner, options);
  return pictureCells(
    items.map((item) => cellOf(item, look)),
    { ...options, title: titles[items[0] ? kindOf(items[0]) : 'class'], legend: legendOf(items[0], look) },
  );
}

/** plotTopLosses: the items with the highest losses, with target / prediction, loss and probability of the target -> SVG. */
export async function plotTopLosses(learner: Learner, options: ShowOptions = {}): Promise<string> {
  knownKeys('plotTopLosses', options, showNames);
  const items = await topLosses(learner, options);
  const look = lookOf(learner, options);
  const cells = items.map((item) => {
    const probability = item.prediction.dims.length === 1 ? item.prediction.data[Number(item.y.data[0])] : undefined;
    const more = probability === undefined ? '' : ` / ${probability.toFixed(2)}`;
    return cellOf(item, look, ` / ${item.loss.toFixed(2)}${more}`);
  });
  const kind = items[0] ? kindOf(items[0]) : 'class';
  const title = kind === 'class' ? 'target / prediction / loss / probability of the target' : `${titles[kind]} / loss`;
  return pictureCells(cells, { ...options, side: 128, title, legend: legendOf(items[0], look) });
}
