import type { Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { defineOptimizer } from './define.ts';

/** a + (b - a) * share. */
const blend = (a: Value, b: Value, keep: Value): Value => o.add(o.mul(a, keep), o.mul(b, o.sub(1, keep)));

const adamUpdate = (
  m: Value,
  v: Value,
  hyper: Readonly<Record<'lr' | 'beta1' | 'beta2' | 'eps' | 'step', Value>>,
): Value => {
  const { lr, beta1, beta2, eps, step } = hyper;
  const stepSize = o.div(lr, o.sub(1, o.pow(beta1, step)));
  const root = o.sqrt(o.sub(1, o.pow(beta2, step)));
  return o.div(o.mul(m, stepSize), o.add(o.div(o.sqrt(v), root), eps));
};

/**
 * AdamW (Loshchilov & Hutter 2019), PyTorch's formula: decay p -= lr wd p apart from the gradient, then
 * p -= lr m^ / (sqrt(v^) + eps) with bias-corrected moments.
 */
export const adamw = defineOptimizer({
  name: 'adamw',
  moments: ['m', 'v'],
  hyper: { lr: 1e-3, beta1: 0.9, beta2: 0.99, eps: 1e-8, wd: 1e-2 },
  update: ({ param, grad, moments: [m, v], hyper }) => {
    const nextM = blend(m!, grad, hyper.beta1);
    const nextV = blend(v!, o.mul(grad, grad), hyper.beta2);
    const decayed = o.mul(param, o.sub(1, o.mul(hyper.lr, hyper.wd)));
    return { param: o.sub(decayed, adamUpdate(nextM, nextV, hyper)), moments: [nextM, nextV] };
  },
});

/** Adam (Kingma & Ba 2015) with weight decay as a part of the gradient, PyTorch's formula. */
export const adam = defineOptimizer({
  name: 'adam',
  moments: ['m', 'v'],
  hyper: { lr: 1e-3, beta1: 0.9, beta2: 0.99, eps: 1e-8, wd: 0 },
  update: ({ param, grad, moments: [m, v], hyper }) => {
    const full = o.add(grad, o.mul(param, hyper.wd));
    const nextM = blend(m!, full, hyper.beta1);
    const nextV = blend(v!, o.mul(full, full), hyper.beta2);
    return { param: o.sub(param, adamUpdate(nextM, nextV, hyper)), moments: [nextM, nextV] };
  },
});

/** SGD with momentum, PyTorch's formula: buffer = momentum buffer + (grad + wd p); p -= lr buffer. */
export const sgd = defineOptimizer({
  name: 'sgd',
  moments: ['velocity'],
  hyper: { lr: 1e-2, momentum: 0.9, wd: 0 },
  update: ({ param, grad, moments: [buffer], hyper }) => {
    const next = o.add(o.mul(buffer!, hyper.momentum), o.add(grad, o.mul(param, hyper.wd)));
    return { param: o.sub(param, o.mul(next, hyper.lr)), moments: [next] };
  },
});

/** SGD with Nesterov's momentum (Sutskever et al. 2013), PyTorch's formula: p -= lr (g + momentum buffer), g = grad + wd p. */
export const nesterov = defineOptimizer({
  name: 'nesterov',
  moments: ['velocity'],
  hyper: { lr: 1e-2, momentum: 0.9, wd: 0 },
  update: ({ param, grad, moments: [buffer], hyper }) => {
    const full = o.add(grad, o.mul(param, hyper.wd));
    const next = o.add(o.mul(buffer!, hyper.momentum), full);
    const step = o.add(full, o.mul(next, hyper.momentum));
    return { param: o.sub(param, o.mul(step, hyper.lr)), moments: [next] };
  },
});

/**
 * RMSProp (Tieleman & Hinton 2012), PyTorch's formula: v = alpha v + (1 - alpha) g^2, buffer = momentum buffer + g / (sqrt(v) + eps),
 * p -= lr buffer, g = grad + wd p.
 */
export const rmsprop = defineOptimizer({
  name: 'rmsprop',
  moments: ['v', 'velocity'],
  hyper: { lr: 1e-2, alpha: 0.99, eps: 1e-8, momentum: 0, wd: 0 },
  update: ({ param, grad, moments: [v, buffer], hyper }) => {
    const full = o.add(grad, o.mul(param, hyper.wd));
    const nextV = blend(v!, o.mul(full, full), hyper.alpha);
    const next = o.add(o.mul(buffer!, hyper.momentum), o.div(full, o.add(o.sqrt(nextV), hyper.eps)));
    return { param: o.sub(param, o.mul(next, hyper.lr)), moments: [nextV, next] };
  },
});

/** Every optimiser by name. */
export const optimizers = { adamw, adam, sgd, nesterov, rmsprop } as const;
export type OptimizerName = keyof typeof optimizers;
