import { ensure } from '../core/errors.ts';
import { sameShape } from '../core/shape.ts';
import { showValue, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';

export * from './losses-classes.ts';

function needSameShape(prediction: Value, target: Value, where: string): void {
  ensure(
    sameShape(prediction.shape, target.shape) && target.dtype === 'float32',
    'bad-shape',
    () =>
      `${where}: expected prediction and f32 target of one shape, got ${showValue(prediction)} and ${showValue(target)}`,
  );
}

/** Mean of (prediction - target)^2 over all elements -> f32[]. */
export function mseLoss(prediction: Value, target: Value): Value {
  needSameShape(prediction, target, 'mseLoss');
  const difference = o.sub(prediction, target);
  return o.reduceMean(o.mul(difference, difference));
}

/** Mean of |prediction - target| over all elements -> f32[]. */
export function l1Loss(prediction: Value, target: Value): Value {
  needSameShape(prediction, target, 'l1Loss');
  return o.reduceMean(o.abs(o.sub(prediction, target)));
}

/** Mean of sqrt((prediction - target)^2 + eps^2), a smooth L1 (Charbonnier et al. 1994) -> f32[]. */
export function charbonnierLoss(prediction: Value, target: Value, eps = 1e-3): Value {
  needSameShape(prediction, target, 'charbonnierLoss');
  const difference = o.sub(prediction, target);
  return o.reduceMean(o.sqrt(o.add(o.mul(difference, difference), eps * eps)));
}

/**
 * Mean over all elements of d^2/2 where d = |prediction - target| < delta, else delta (d - delta/2) -> f32[]. delta > 0.
 * Source: Huber 1964; PyTorch's HuberLoss.
 */
export function huberLoss(prediction: Value, target: Value, delta = 1): Value {
  needSameShape(prediction, target, 'huberLoss');
  ensure(delta > 0, 'bad-argument', () => `huberLoss: expected delta > 0, got ${delta}`);
  const distance = o.abs(o.sub(prediction, target));
  const near = o.minimum(distance, delta);
  return o.reduceMean(o.add(o.mul(o.mul(near, near), 0.5), o.mul(o.sub(distance, near), delta)));
}

/** {@link huberLoss} divided by beta, so that its far slope is 1: PyTorch's SmoothL1Loss. beta > 0. */
export const smoothL1Loss = (prediction: Value, target: Value, beta = 1): Value =>
  o.mul(huberLoss(prediction, target, beta), 1 / beta);

/**
 * Mean binary cross-entropy of sigmoid(logits) with targets f32 in [0, 1] of the same shape -> f32[]; exact for large logits.
 * `positiveWeight` multiplies the loss of the ones (PyTorch's pos_weight).
 */
export function bceWithLogitsLoss(
  logits: Value,
  target: Value,
  { positiveWeight = 1 }: { readonly positiveWeight?: number } = {},
): Value {
  needSameShape(logits, target, 'bceWithLogitsLoss');
  if (positiveWeight === 1) return o.reduceMean(o.sub(o.softplus(logits), o.mul(logits, target)));
  const ones = o.mul(o.mul(target, positiveWeight), o.softplus(o.neg(logits)));
  return o.reduceMean(o.add(ones, o.mul(o.sub(1, target), o.softplus(logits))));
}

/**
 * Focal loss of binary logits with targets f32, each 0 or 1, of the same shape -> f32[]: mean of
 * a (1 - p)^gamma (-log p), p the probability of the target, a = alpha for ones and 1 - alpha for zeros (1 for both when
 * alpha is omitted). Source: Lin et al. 2017; torchvision's sigmoid_focal_loss.
 */
export function binaryFocalLoss(
  logits: Value,
  target: Value,
  { gamma = 2, alpha }: { readonly gamma?: number; readonly alpha?: number } = {},
): Value {
  needSameShape(logits, target, 'binaryFocalLoss');
  // z: the logit of the target. -log p = softplus(-z), 1 - p = exp(-softplus(z)).
  const z = o.mul(logits, o.sub(o.mul(target, 2), 1));
  const loss = o.mul(o.exp(o.mul(o.softplus(z), -gamma)), o.softplus(o.neg(z)));
  if (alpha === undefined) return o.reduceMean(loss);
  return o.reduceMean(o.mul(loss, o.add(o.mul(target, 2 * alpha - 1), 1 - alpha)));
}

/**
 * 1 - dice of sigmoid(logits) with targets f32 in [0, 1] of the same shape -> f32[], dice = (2 sum(p t) + smooth) / (sum(p) +
 * sum(t) + smooth) over the whole batch. Source: Milletari et al. 2016, with plain sums as fastai has them.
 */
export function binaryDiceLoss(logits: Value, target: Value, { smooth = 1 }: { readonly smooth?: number } = {}): Value {
  needSameShape(logits, target, 'binaryDiceLoss');
  const p = o.sigmoid(logits);
  const overlap = o.add(o.mul(o.reduceSum(o.mul(p, target)), 2), smooth);
  return o.sub(1, o.div(overlap, o.add(o.add(o.reduceSum(p), o.reduceSum(target)), smooth)));
}

/**
 * The critic's loss of a Wasserstein GAN: mean(real) - mean(fake), scores of any shapes -> f32[]. Minimised it drives real
 * scores down and fake ones up, fastai's sign; the generator minimises {@link meanScore} of its fakes. Source: Arjovsky et al. 2017.
 */
export const wassersteinLoss = (real: Value, fake: Value): Value => o.sub(o.reduceMean(real), o.reduceMean(fake));

/** Mean of all scores -> f32[]: a Wasserstein generator's loss. */
export const meanScore = (scores: Value): Value => o.reduceMean(scores);
