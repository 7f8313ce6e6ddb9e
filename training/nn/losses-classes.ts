import { ensure } from '../core/errors.ts';
import { sameShape, staticShape } from '../core/shape.ts';
import { sizeOf } from '../core/tensor.ts';
import { showValue, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { noteLabels } from './label-rules.ts';

/*
 * Losses of class scores: logits f32[N,C,...], one int32 label in 0..C-1 per position, [N,...]. C >= 2. A graph does not look whether a
 * label is a class, and what it makes of another one is not defined; a learner looks at every batch beforehand.
 */

/** Checks logits [N,C,...] and labels [N,...], and notes what labels there may be; returns C and the other sizes. */
function classShape(
  logits: Value,
  labels: Value,
  where: string,
  ignoreIndex?: number,
): { classes: number; positions: readonly number[] } {
  const [n, , ...rest] = logits.shape;
  ensure(
    logits.shape.length >= 2 && labels.dtype === 'int32' && sameShape(labels.shape, [n!, ...rest]),
    'bad-shape',
    () =>
      `${where}: expected logits f32[N,C,...] and labels int32[N,...], got ${showValue(logits)} and ${showValue(labels)}`,
  );
  const [batch, classes, ...sizes] = staticShape(logits.shape, where);
  ensure(classes! >= 2, 'bad-shape', () => {
    return `${where}: expected scores of at least 2 classes, got ${showValue(logits)}; one score per position is for bceWithLogitsLoss`;
  });
  noteLabels({ loss: where, labels, classes: classes!, ignoreIndex });
  return { classes: classes!, positions: [batch!, ...sizes] };
}

/** [1,C,1,...]: whole numbers, or a value per class. */
const alongClasses = (vector: Value, rank: number): Value =>
  o.reshape(
    vector,
    Array.from({ length: rank }, (_, i) => (i === 1 ? -1 : 1)),
  );

/** f32[N,C,...]: 1 at the label's class. Nowhere where the label is no class. */
function oneHot(logits: Value, labels: Value, classes: number): Value {
  const classIds = alongClasses(o.arange(logits.graph, classes), logits.shape.length);
  return o.cast(o.equal(o.unsqueeze(labels, [1]), classIds), 'float32');
}

export interface CrossEntropyOptions {
  /** Positions with this label do not count; PyTorch's -100 is only a number, any will do. */
  readonly ignoreIndex?: number;
  /** Share of the target that is spread over all classes, in [0, 1) (Szegedy et al. 2016). */
  readonly labelSmoothing?: number;
  /** One weight per class; the mean is then a weighted one, as in PyTorch. */
  readonly classWeights?: readonly number[];
}

/** sum / count, or 0 where nothing counts. */
const share = (sum: Value, count: Value): Value => o.div(sum, o.where(o.greater(count, 0), count, 1));

/**
 * Mean negative log-likelihood: logits f32[N,C,...], labels int32[N,...] in 0..C-1 -> f32[]. Serves classes [N,C], pixels
 * [N,C,H,W] and sequences [N,C,T]. 0 when every position is ignored (PyTorch: NaN). Throws `bad-shape`, `bad-argument`.
 */
export function crossEntropyLoss(logits: Value, labels: Value, options: CrossEntropyOptions = {}): Value {
  const { ignoreIndex, labelSmoothing = 0, classWeights } = options;
  const { classes, positions } = classShape(logits, labels, 'crossEntropyLoss', ignoreIndex);
  ensure(
    labelSmoothing >= 0 && labelSmoothing < 1 && (classWeights?.length ?? classes) === classes,
    'bad-argument',
    () =>
      `crossEntropyLoss: expected smoothing in [0, 1) and ${classes} class weights, got ${labelSmoothing} and [${classWeights ?? ''}]`,
  );
  if (logits.shape.length === 2 && ignoreIndex === undefined && labelSmoothing === 0 && classWeights === undefined)
    return o.mul(sumOfLosses(logits, labels), 1 / sizeOf(positions));
  const logP = o.logSoftmax(logits, 1);
  const hot = oneHot(logits, labels, classes);
  const weights = classWeights && alongClasses(vectorOf(logits, classWeights), logits.shape.length);
  const weighted = (x: Value): Value => (weights === undefined ? x : o.mul(x, weights));
  const kept =
    ignoreIndex === undefined ? undefined : o.cast(o.not(o.equal(o.unsqueeze(labels, [1]), ignoreIndex)), 'float32');
  const masked = (x: Value): Value => (kept === undefined ? x : o.mul(x, kept));
  const target = masked(weighted(hot));
  const hard = o.reduceSum(o.mul(logP, target));
  const total =
    labelSmoothing === 0
      ? hard
      : o.add(o.mul(hard, 1 - labelSmoothing), o.mul(o.reduceSum(masked(weighted(logP))), labelSmoothing / classes));
  const sum = o.neg(total);
  return weights === undefined && kept === undefined
    ? o.mul(sum, 1 / sizeOf(positions))
    : share(sum, o.reduceSum(target));
}

/**
 * sum over n of log(sum(exp x_n)) - x_n[label_n]: logits f32[N,C], labels int32[N] -> f32[]. Of the large matrix only its softmax is
 * made forward and its gradient backward; log(sum(exp x)) = max(x) - log(max(softmax x)), which neither overflows nor cancels.
 */
function sumOfLosses(logits: Value, labels: Value): Value {
  const [n] = staticShape(logits.shape, 'crossEntropyLoss');
  const column = o.reshape(labels, [n!, 1]);
  let p: Value | undefined;
  const build = (): readonly Value[] => {
    p = o.softmax(logits, 1);
    const top = (x: Value): Value => o.reduceMax(x, { axes: [1], keepdims: true });
    const logSum = o.sub(top(logits), o.log(top(p)));
    return [o.reduceSum(o.sub(logSum, o.gatherElements(logits, column, 1)))];
  };
  // (softmax - one-hot) dy
  const gradient = ([dy]: readonly (Value | undefined)[]): readonly Value[] => {
    const atLabels = o.expand(o.neg(dy!), [n!, 1]);
    return [o.scatterAdd(o.mul(p!, dy!), column, atLabels, 1)];
  };
  return logits.graph.region([logits], build, gradient)[0]!;
}

const vectorOf = (like: Value, values: readonly number[]): Value =>
  like.graph.constant('float32', [values.length], Float32Array.from(values));

/**
 * Focal loss of class scores: logits f32[N,C,...], labels int32[N,...] -> f32[]: mean of (1 - p)^gamma (-log p), p the
 * probability of the label. gamma >= 1. Source: Lin et al. 2017; fastai's FocalLossFlat.
 */
export function focalLoss(logits: Value, labels: Value, { gamma = 2 }: { readonly gamma?: number } = {}): Value {
  const { classes } = classShape(logits, labels, 'focalLoss');
  ensure(gamma >= 1, 'bad-argument', () => `focalLoss: expected gamma >= 1, got ${gamma}`);
  const logP = o.reduceSum(o.mul(o.logSoftmax(logits, 1), oneHot(logits, labels, classes)), { axes: [1] });
  // Rounding may leave 1 - p a little below zero.
  const missed = o.maximum(o.sub(1, o.exp(logP)), 1e-7);
  return o.neg(o.reduceMean(o.mul(o.pow(missed, gamma), logP)));
}

/**
 * 1 - mean dice over the classes of softmax(logits): logits f32[N,C,...], labels int32[N,...] -> f32[]; a class's dice = (2 sum(p
 * t) + smooth) / (sum(p) + sum(t) + smooth) over batch and positions. Source: Milletari et al. 2016; fastai's DiceLoss.
 */
export function diceLoss(logits: Value, labels: Value, { smooth = 1e-6 }: { readonly smooth?: number } = {}): Value {
  const { classes } = classShape(logits, labels, 'diceLoss');
  const p = o.softmax(logits, 1);
  const hot = oneHot(logits, labels, classes);
  const axes = logits.shape.flatMap((_, i) => (i === 1 ? [] : [i]));
  const sum = (x: Value): Value => o.reduceSum(x, { axes });
  const overlap = o.add(o.mul(sum(o.mul(p, hot)), 2), smooth);
  return o.sub(1, o.reduceMean(o.div(overlap, o.add(o.add(sum(p), sum(hot)), smooth))));
}
