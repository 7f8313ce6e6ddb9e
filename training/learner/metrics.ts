import { ensure } from '../core/errors.ts';
import type { Image } from '../core/image.ts';
import { sizeOf, type Tensor } from '../core/tensor.ts';
import { ssim as imageSsim } from '../pictures/quality.ts';
import { imageOfPlanes } from '../pictures/transforms/pixels.ts';
import type { Batch } from './options.ts';

/** Adds up one metric over the batches of a validation pass. */
export interface MetricRun {
  /** Raw predictions (before any activation) and targets of one batch, and the batch itself. */
  add(prediction: Tensor<'float32'>, target: Tensor, batch?: Batch): void;
  /** Over everything that was added: batches of unequal size count by their items. */
  value(): number;
}

/** A number on the validation set. */
export interface Metric {
  readonly name: string;
  start(): MetricRun;
}

/** A metric that is a mean: `measure` states the sum over a batch and how many things were counted. */
export function meanMetric(
  name: string,
  measure: (
    prediction: Tensor<'float32'>,
    target: Tensor,
    batch?: Batch,
  ) => { readonly sum: number; readonly count: number },
  finish: (mean: number) => number = (mean) => mean,
): Metric {
  return {
    name,
    start: () => {
      let total = 0;
      let counted = 0;
      return {
        add: (prediction, target, batch) => {
          const { sum, count } = measure(prediction, target, batch);
          total += sum;
          counted += count;
        },
        value: () => finish(total / counted),
      };
    },
  };
}

/** A tensor seen as [outer, classes, inner] about its class axis. */
interface ClassView {
  readonly outer: number;
  readonly classes: number;
  readonly inner: number;
}

function classView({ dims }: Tensor, axis: number): ClassView {
  const at = axis < 0 ? axis + dims.length : axis;
  return { outer: sizeOf(dims.slice(0, at)), classes: dims[at]!, inner: sizeOf(dims.slice(at + 1)) };
}

/** Calls `visit` with the predicted class of every position, in the order of the target's elements. */
function eachClass(prediction: Tensor<'float32'>, axis: number, visit: (predicted: number, i: number) => void): void {
  const { outer, classes, inner } = classView(prediction, axis);
  const { data } = prediction;
  for (let i = 0; i < outer * inner; i++) {
    const start = Math.floor(i / inner) * classes * inner + (i % inner);
    let best = 0;
    for (let c = 1; c < classes; c++) if (data[start + c * inner]! > data[start + best * inner]!) best = c;
    visit(best, i);
  }
}

function checkLabels(where: string, prediction: Tensor, target: Tensor, axis: number): void {
  const { outer, inner } = classView(prediction, axis);
  ensure(target.data.length === outer * inner, 'bad-shape', () => {
    return `${where}: expected a label for each of ${outer * inner} positions of [${prediction.dims}], got [${target.dims}]`;
  });
}

/** Throws `bad-data` for a label that has no score. */
function needScore(where: string, label: number, classes: number): void {
  ensure(label >= 0 && label < classes, 'bad-data', () => {
    return `${where}: expected labels 0..${classes - 1}, got ${label}; give ignore: ${label} if it stands for no class`;
  });
}

export interface LabelOptions {
  /** Axis of the classes; 1 by default. */
  readonly axis?: number;
  /** Label that does not count ("void"). */
  readonly ignore?: number;
}

function countLabels(
  name: string,
  { axis = 1, ignore }: LabelOptions,
  hit: (predicted: number, label: number) => boolean,
): Metric {
  return meanMetric(name, (prediction, target) => {
    checkLabels(name, prediction, target, axis);
    let [sum, count] = [0, 0];
    eachClass(prediction, axis, (predicted, i) => {
      const label = Number(target.data[i]);
      if (label === ignore) return;
      count += 1;
      if (hit(predicted, label)) sum += 1;
    });
    return { sum, count };
  });
}

/** Share of positions whose highest score is the label's: scores f32[N,C,...], labels int[N,...] -> 0..1. */
export const accuracy = (options: LabelOptions = {}): Metric => countLabels('accuracy', options, (p, y) => p === y);

/** {@link accuracy} with the void pixels omitted: the lesson's `acc_camvid`. */
export const accCamvid = (voidId = 11): Metric => ({ ...accuracy({ ignore: voidId }), name: 'acc_camvid' });

/** 1 - accuracy. */
export const errorRate = (options: LabelOptions = {}): Metric => countLabels('error_rate', options, (p, y) => p !== y);

/** Share of positions whose label is among the `k` highest scores. */
export function topK(k = 5, { axis = 1, ignore }: LabelOptions = {}): Metric {
  const name = `top_${k}`;
  return meanMetric(name, (prediction, target) => {
    checkLabels(name, prediction, target, axis);
    const { outer, classes, inner } = classView(prediction, axis);
    let [sum, count] = [0, 0];
    for (let i = 0; i < outer * inner; i++) {
      const label = Number(target.data[i]);
      if (label === ignore) continue;
      needScore(name, label, classes);
      const start = Math.floor(i / inner) * classes * inner + (i % inner);
      const own = prediction.data[start + label * inner]!;
      let higher = 0;
      // Of equal scores the lower class counts as the higher one, as in an argmax.
      for (let c = 0; c < classes; c++) {
        const score = prediction.data[start + c * inner]!;
        if (score > own || (score === own && c < label)) higher += 1;
      }
      count += 1;
      if (higher < k) sum += 1;
    }
    return { sum, count };
  });
}

/** Share of elements on the right side of a threshold: logits f32[...] through a sigmoid, targets 0 or 1 of the same shape. */
export const accuracyThresh = (threshold = 0.5): Metric =>
  meanMetric('accuracy_thresh', (prediction, target) => {
    const logit = Math.log(threshold / (1 - threshold));
    let sum = 0;
    for (let i = 0; i < prediction.data.length; i++)
      if (prediction.data[i]! > logit === Number(target.data[i]) > 0.5) sum += 1;
    return { sum, count: prediction.data.length };
  });

/** Counts of (label, predicted) pairs: `counts[label * classes + predicted]`. */
export interface Confusion {
  readonly classes: number;
  readonly counts: Float64Array;
}

/** Adds a batch to the confusion counts. */
export function addConfusion(
  { classes, counts }: Confusion,
  prediction: Tensor<'float32'>,
  target: Tensor,
  { axis = 1, ignore }: LabelOptions = {},
): void {
  checkLabels('confusion', prediction, target, axis);
  eachClass(prediction, axis, (predicted, i) => {
    const label = Number(target.data[i]);
    if (label === ignore) return;
    needScore('confusion', label, classes);
    counts[label * classes + predicted]! += 1;
  });
}

interface ClassCounts {
  /** Labelled and predicted as the class, only predicted, only labelled. */
  readonly hit: number;
  readonly wrong: number;
  readonly missed: number;
}

function classCounts({ classes, counts }: Confusion): ClassCounts[] {
  return Array.from({ length: classes }, (_, k) => {
    const hit = counts[k * classes + k]!;
    let [labelled, predicted] = [0, 0];
    for (let other = 0; other < classes; other++) {
      labelled += counts[k * classes + other]!;
      predicted += counts[other * classes + k]!;
    }
    return { hit, wrong: predicted - hit, missed: labelled - hit };
  });
}

const seen = ({ hit, wrong, missed }: ClassCounts): boolean => hit + wrong + missed > 0;
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** A metric of the confusion counts of the whole set. */
function confusionMetric(name: string, options: LabelOptions, finish: (counts: ClassCounts[]) => number): Metric {
  return {
    name,
    start: () => {
      let confusion: Confusion | undefined;
      return {
        add: (prediction, target) => {
          const { classes } = classView(prediction, options.axis ?? 1);
          confusion ??= { classes, counts: new Float64Array(classes * classes) };
          addConfusion(confusion, prediction, target, options);
        },
        value: () => (confusion === undefined ? Number.NaN : finish(classCounts(confusion))),
      };
    },
  };
}

/** Mean over the classes that occur of intersection / union, over the whole set: 0..1. */
export const iou = (options: LabelOptions = {}): Metric =>
  confusionMetric('iou', options, (counts) =>
    mean(counts.filter(seen).map(({ hit, wrong, missed }) => hit / (hit + wrong + missed))),
  );

/** {@link iou} of every class on its own, by the names of the classes: `iou_Sky`, ... NaN for one that does not occur. */
export const iouPerClass = (names: readonly string[], options: LabelOptions = {}): readonly Metric[] =>
  names.map((name, id) =>
    confusionMetric(`iou_${name}`, options, (counts) => {
      const { hit, wrong, missed } = counts[id]!;
      return hit / (hit + wrong + missed);
    }),
  );

/** 2 hits / (2 hits + wrong + missed): of class 1 when there are two classes, else the mean over those that occur. */
export const dice = (options: LabelOptions = {}): Metric =>
  confusionMetric('dice', options, (counts) => {
    const chosen = counts.length === 2 ? counts.slice(1) : counts;
    return mean(chosen.filter(seen).map(({ hit, wrong, missed }) => (2 * hit) / (2 * hit + wrong + missed)));
  });

export interface FScoreOptions extends LabelOptions {
  /** Weight of recall against precision; 1 by default. */
  readonly beta?: number;
  /** `macro`: mean over classes; `binary`: class 1 alone. By default binary when there are two classes. */
  readonly average?: 'macro' | 'binary';
}

/** F-score (1 + b^2) p r / (b^2 p + r) over the whole set: 0..1; a class never predicted nor labelled counts 0. */
export function fScore({ beta = 1, average, ...options }: FScoreOptions = {}): Metric {
  const score = ({ hit, wrong, missed }: ClassCounts): number =>
    hit === 0 ? 0 : ((1 + beta ** 2) * hit) / ((1 + beta ** 2) * hit + beta ** 2 * missed + wrong);
  return confusionMetric(`f${beta}`, options, (counts) => {
    const binary = average === 'binary' || (average === undefined && counts.length === 2);
    return binary ? score(counts[1]!) : mean(counts.map(score));
  });
}

/** exp of the mean negative log-likelihood over all positions: scores f32[N,C,...], labels int[N,...]. */
export const perplexity = ({ axis = 1, ignore }: LabelOptions = {}): Metric =>
  meanMetric(
    'perplexity',
    (prediction, target) => {
      checkLabels('perplexity', prediction, target, axis);
      const { outer, classes, inner } = classView(prediction, axis);
      const { data } = prediction;
      let [sum, count] = [0, 0];
      for (let i = 0; i < outer * inner; i++) {
        const label = Number(target.data[i]);
        if (label === ignore) continue;
        needScore('perplexity', label, classes);
        const start = Math.floor(i / inner) * classes * inner + (i % inner);
        let top = Number.NEGATIVE_INFINITY;
        for (let c = 0; c < classes; c++) top = Math.max(top, data[start + c * inner]!);
        let total = 0;
        for (let c = 0; c < classes; c++) total += Math.exp(data[start + c * inner]! - top);
        sum += top + Math.log(total) - data[start + label * inner]!;
        count += 1;
      }
      return { sum, count };
    },
    Math.exp,
  );

function elementMetric(name: string, term: (difference: number) => number, finish?: (mean: number) => number): Metric {
  return meanMetric(
    name,
    ({ data }, target) => {
      let sum = 0;
      for (let i = 0; i < data.length; i++) sum += term(data[i]! - Number(target.data[i]));
      return { sum, count: data.length };
    },
    finish,
  );
}

/** Mean squared error, its root, mean absolute error: over all elements. */
export const mse = (): Metric => elementMetric('mse', (d) => d * d);
export const rmse = (): Metric => elementMetric('rmse', (d) => d * d, Math.sqrt);
export const mae = (): Metric => elementMetric('mae', Math.abs);

/** Mean over pictures of their peak signal-to-noise ratio in dB: predictions and targets f32[N,...] of range 0..`peak`, clipped. */
export const psnr = (peak = 1): Metric =>
  meanMetric('psnr', ({ data, dims }, target) => {
    const count = dims[0]!;
    const length = data.length / count;
    let sum = 0;
    for (let n = 0; n < count; n++) {
      let error = 0;
      for (let i = n * length; i < (n + 1) * length; i++)
        error += (Math.min(peak, Math.max(0, data[i]!)) - Number(target.data[i])) ** 2;
      sum += 10 * Math.log10((peak * peak * length) / error);
    }
    return { sum, count };
  });

/** Picture `n` of f32[N,3,H,W] 0..1, as 8-bit RGB. */
export function pictureOf({ data, dims }: Tensor<'float32'>, n: number): Image {
  const [, channels = 3, height = 0, width = 0] = dims;
  const planes = new Float32Array(3 * height * width);
  for (let c = 0; c < 3; c++) {
    const from = (n * channels + Math.min(c, channels - 1)) * height * width;
    planes.set(data.subarray(from, from + height * width), c * height * width);
  }
  return imageOfPlanes(planes, { width, height });
}

/** Mean over pictures of the structural similarity of their luma: predictions and targets f32[N,1 or 3,H,W] 0..1. */
export const ssim = (): Metric =>
  meanMetric('ssim', (prediction, target) => {
    const count = prediction.dims[0]!;
    let sum = 0;
    for (let n = 0; n < count; n++)
      sum += imageSsim(pictureOf(prediction, n), pictureOf(target as Tensor<'float32'>, n));
    return { sum, count };
  });
