import { ensure } from '../core/errors.ts';
import { knownKeys, namesOf } from '../core/known-keys.ts';
import { sizeOf, type Tensor } from '../core/tensor.ts';
import { joinPredictions } from '../learner/compiled.ts';
import type { Learner, Loader, Predictions } from '../learner/learner.ts';
import { addConfusion, type Confusion, type LabelOptions } from '../learner/metrics.ts';

/** Item `i` of x[N,...], copied, without the batch's axis. */
export function itemOf(x: Tensor, i: number): Tensor {
  const dims = x.dims.slice(1);
  const length = sizeOf(dims);
  return { ...x, dims, data: x.data.slice(i * length, (i + 1) * length) } as Tensor;
}

/** The class of the highest score of an item's scores [C]. */
export function topClass({ data }: Tensor): number {
  let best = 0;
  for (let c = 1; c < data.length; c++) if (data[c]! > data[best]!) best = c;
  return best;
}

/** One item with its prediction. */
export interface ItemResult {
  /** Place in the loader. */
  readonly index: number;
  readonly x: Tensor;
  readonly y: Tensor;
  /** After the activation. */
  readonly prediction: Tensor<'float32'>;
  readonly loss: number;
}

/** Every item of a loader with its prediction and loss, one at a time. */
async function* results(learner: Learner, loader: Loader): AsyncGenerator<ItemResult> {
  const { compiled, state } = learner;
  let index = 0;
  for await (const { x, y } of loader.epoch(0)) {
    const prediction = await compiled.forward(state, x);
    const losses = await compiled.itemLosses(state, { x, y });
    for (const [i, loss] of losses.entries()) {
      const said = itemOf(prediction, i) as Tensor<'float32'>;
      yield { index, x: itemOf(x, i), y: itemOf(y, i), prediction: said, loss };
      index += 1;
    }
  }
}

/** topLosses: the `count` items (9) of a loader (the validation set) with the highest losses, highest first. */
export async function topLosses(
  learner: Learner,
  { count = 9, loader = learner.validLoader('topLosses') }: { readonly count?: number; readonly loader?: Loader } = {},
): Promise<readonly ItemResult[]> {
  let top: ItemResult[] = [];
  for await (const item of results(learner, loader)) {
    if (top.length === count && item.loss <= top.at(-1)!.loss) continue;
    top = [...top, item].sort((a, b) => b.loss - a.loss).slice(0, count);
  }
  return top;
}

/** firstResults: the first `count` items (9) of a loader (the validation set) with their predictions. */
export async function firstResults(
  learner: Learner,
  {
    count = 9,
    loader = learner.validLoader('firstResults'),
  }: { readonly count?: number; readonly loader?: Loader } = {},
): Promise<readonly ItemResult[]> {
  const first: ItemResult[] = [];
  for await (const item of results(learner, loader)) {
    first.push(item);
    if (first.length >= count) break;
  }
  return first;
}

/** confusionMatrix: how often each class (row) was taken for each (column), over a whole prediction [N,C,...]. */
export function confusionMatrix({ predictions, targets }: Predictions, options: LabelOptions = {}): Confusion {
  const classes = predictions.dims[options.axis ?? 1] ?? 0;
  ensure(classes > 0, 'bad-shape', () => `confusionMatrix: expected scores [N,C,...], got [${predictions.dims}]`);
  const confusion: Confusion = { classes, counts: new Float64Array(classes * classes) };
  addConfusion(confusion, predictions, targets, options);
  return confusion;
}

/** confusionOver: {@link confusionMatrix} of a learner over a loader (the validation set), batch by batch: for scores of pixels, too many to keep. */
export async function confusionOver(
  learner: Learner,
  { loader = learner.validLoader('confusionOver'), ...options }: LabelOptions & { readonly loader?: Loader } = {},
): Promise<Confusion> {
  let confusion: Confusion | undefined;
  for await (const { x, y } of loader.epoch(0)) {
    const said = await learner.compiled.forward(learner.state, x);
    const classes = said.dims.at(options.axis ?? 1)!;
    confusion ??= { classes, counts: new Float64Array(classes * classes) };
    addConfusion(confusion, said, y, options);
  }
  ensure(confusion !== undefined, 'bad-data', () => 'confusionOver: expected a loader with batches, got an empty one');
  return confusion;
}

/** mostConfused: pairs of classes that were mixed up at least `least` times (1), most often first. */
export function mostConfused(
  { classes, counts }: Confusion,
  least = 1,
): readonly { readonly actual: number; readonly predicted: number; readonly count: number }[] {
  return Array.from(counts, (count, i) => ({ actual: Math.floor(i / classes), predicted: i % classes, count }))
    .filter(({ actual, predicted, count }) => actual !== predicted && count >= least)
    .sort((a, b) => b.count - a.count);
}

const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

/** How well one class was recognised: precision hits / predicted, recall hits / labelled, their harmonic mean; 0 where there is nothing to divide by. */
export interface ClassReport {
  readonly label: number;
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** Items of the class. */
  readonly support: number;
}

/** classificationReport: precision, recall and F1 of every class (scikit-learn's numbers). */
export const classificationReport = ({ classes, counts }: Confusion): readonly ClassReport[] =>
  Array.from({ length: classes }, (_, label) => {
    const others = Array.from({ length: classes }, (_one, k) => k);
    const support = others.reduce((sum, k) => sum + counts[label * classes + k]!, 0);
    const predicted = others.reduce((sum, k) => sum + counts[k * classes + label]!, 0);
    const hits = counts[label * classes + label]!;
    const [precision, recall] = [ratio(hits, predicted), ratio(hits, support)];
    return { label, precision, recall, f1: ratio(2 * hits, predicted + support), support };
  });

/** Makes another view of a batch's x, e.g. {@link flipHorizontal}. */
export type View = (x: Tensor, index: number) => Tensor;

/** x[N,C,H,W] with left and right swapped. */
export const flipHorizontal: View = (x) => {
  ensure(x.dims.length === 4, 'bad-shape', () => {
    return `flipHorizontal: expected pictures x[N,C,H,W], got [${x.dims}]; give tta views of your own for other data`;
  });
  const width = x.dims.at(-1)!;
  const data = x.data.slice() as Float32Array;
  for (let start = 0; start < data.length; start += width) data.subarray(start, start + width).reverse();
  return { ...x, data } as Tensor;
};

export interface TtaOptions {
  /** Views that are averaged; the flipped picture alone by default. */
  readonly views?: readonly View[];
  /** Share of the plain prediction; 0.25 by default. */
  readonly beta?: number;
  /** The highest of all instead of a mean. */
  readonly useMax?: boolean;
  readonly loader?: Loader;
}

const ttaNames = namesOf<TtaOptions>({ views: true, beta: true, useMax: true, loader: true });

/** tta: predictions after the activation, beta * plain + (1 - beta) * mean over the views (fastai's test-time augmentation). */
export async function tta(learner: Learner, options: TtaOptions = {}): Promise<Predictions> {
  knownKeys('tta', options, ttaNames);
  const { views = [flipHorizontal], beta = 0.25, useMax = false, loader = learner.validLoader('tta') } = options;
  ensure(views.length > 0, 'bad-argument', () => 'tta: expected at least one view, got none');
  const predictions: Tensor[] = [];
  const targets: Tensor[] = [];
  for await (const { x, y } of loader.epoch(0)) {
    const plain = await learner.compiled.forward(learner.state, x);
    const seen: Float32Array[] = [];
    for (const [i, view] of views.entries())
      seen.push((await learner.compiled.forward(learner.state, view(x, i))).data);
    const data = plain.data.map((value, i) => {
      const others = seen.map((one) => one[i]!);
      if (useMax) return Math.max(value, ...others);
      return beta * value + ((1 - beta) * others.reduce((sum, one) => sum + one, 0)) / others.length;
    });
    predictions.push({ ...plain, data });
    targets.push({ ...y, data: y.data.slice() } as Tensor);
  }
  return joinPredictions('tta', predictions, targets);
}
