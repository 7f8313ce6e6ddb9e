import { ensure } from '../core/errors.ts';
import { sameShape } from '../core/shape.ts';
import { showValue, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';

function needSameShape(prediction: Value, target: Value, where: string): void {
  ensure(
    sameShape(prediction.shape, target.shape),
    'bad-shape',
    () =>
      `${where}: expected prediction and target of one shape, got ${showValue(prediction)} and ${showValue(target)}`,
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

/** Mean negative log-likelihood: logits f32[N,C], labels int32[N] in 0..C-1 -> f32[]. */
export function crossEntropyLoss(logits: Value, labels: Value): Value {
  const [n, classes] = logits.shape as readonly number[];
  ensure(
    logits.shape.length === 2 && labels.dtype === 'int32' && labels.shape.length === 1 && labels.shape[0] === n,
    'bad-shape',
    () => {
      return `crossEntropyLoss: expected logits f32[N,C] and labels int32[N], got ${showValue(logits)} and ${showValue(labels)}`;
    },
  );
  const hot = o.cast(o.equal(o.reshape(labels, [n!, 1]), o.arange(logits.graph, classes!)), 'float32');
  return o.mul(o.reduceSum(o.mul(o.logSoftmax(logits), hot)), -1 / n!);
}
