import * as layers from '../../training/nn/layers.ts';
import * as losses from '../../training/nn/losses.ts';
import type { Value } from '../../training/onnx/graph.ts';
import * as o from '../../training/ops/build.ts';
import { type Form, ofX, plain } from './compute.ts';
import type { GoldenCase } from './fixtures.ts';
import { libraryForm } from './library-forms.ts';

const batchNorm = (training: boolean): Form => ({
  params: { gamma: 'bn.weight', beta: 'bn.bias', mean: 'bn.running_mean', var: 'bn.running_var' },
  training,
  build: ({ x }, attrs, scope) => {
    const { eps, momentum } = attrs as { eps: number; momentum: number };
    const y = scope.in('bn', (s) => layers.batchNorm(s, x!, { eps, momentum }));
    if (!training) return { y };
    return { y, mean: scope.updates.get('bn.running_mean')!, var: scope.updates.get('bn.running_var')! };
  },
});

const weightNormConv: Form = {
  params: { g: 'weight_g', v: 'weight_v', b: 'bias' },
  training: true,
  build: ({ x }, _attrs, scope) => ({ y: layers.conv2d(scope, x!, { filters: 4, weightNorm: true }) }),
};

const linear: Form = {
  params: { w: 'weight', b: 'bias' },
  training: true,
  build: ({ x }, _attrs, scope) => ({ y: layers.linear(scope, x!, 3) }),
};

const selfAttention: Form = {
  params: { wq: 'query.weight', wk: 'key.weight', wv: 'value.weight', gamma: 'gamma' },
  training: true,
  build: ({ x }, _attrs, scope) => ({ y: layers.selfAttention(scope, x!) }),
};

/** The convolutions that the layer, with its square kernels and padding, can say. */
const conv2d: Form = {
  params: { w: 'weight', b: 'bias' },
  training: true,
  build: ({ x }, attrs, scope) => {
    const { filters, kernel, stride, padding, dilation, groups, bias } = attrs as Record<string, number>;
    const options = {
      filters: filters!,
      kernel: kernel!,
      stride: stride!,
      padding: padding!,
      dilation: dilation!,
      groups: groups!,
    };
    return { y: layers.conv2d(scope, x!, { ...options, bias: bias === 1 }) };
  },
};

const unetLayers = ['down1', 'down2', 'up1', 'up2', 'head'];
const unet: Form = {
  params: Object.fromEntries(
    unetLayers.flatMap((name) => [
      [`${name}.w`, `${name}.weight`],
      [`${name}.b`, `${name}.bias`],
    ]),
  ),
  training: true,
  build: ({ x, target }, attrs, scope) => {
    const conv = (name: string, h: Value, filters: number, stride = 1): Value =>
      scope.in(name, (s) => layers.conv2d(s, h, { filters, stride }));
    const down1 = o.relu(conv('down1', x!, 8, 2));
    const down2 = o.relu(conv('down2', down1, 12, 2));
    const up1 = o.concat([o.pixelShuffle(o.relu(conv('up1', down2, 32)), 2), down1], 1);
    const up2 = o.concat([o.pixelShuffle(o.relu(conv('up2', up1, 12)), 2), x!], 1);
    const y = layers.sigmoidRange(conv('head', up2, 3), attrs.low as number, attrs.high as number);
    return { y: losses.mseLoss(y, target!) };
  },
};

const activations: Readonly<Record<string, Form>> = { gelu: ofX(layers.gelu), silu: ofX(layers.silu) };

/** Logits [N,C] or [N,C,H,W], labels [N] or [N,H,W]. */
const crossEntropy = plain(({ x, labels }) => losses.crossEntropyLoss(x!, o.cast(labels!, 'int32')));

const forms: Readonly<Record<string, Form>> = {
  weightNormConv,
  linear,
  selfAttention,
  unet,
  blur: ofX(layers.blur2x2),
  mse: plain(({ x, target }) => losses.mseLoss(x!, target!)),
  l1: plain(({ x, target }) => losses.l1Loss(x!, target!)),
  crossEntropy,
};

/** The layer's options for a fixture of `conv2d`, or undefined where it is not square. */
function squareConv(golden: GoldenCase): GoldenCase | undefined {
  const { stride, pad, dilation, groups } = golden.attrs as {
    stride: number[];
    pad: number[];
    dilation: number[];
    groups: number;
  };
  const [filters, , kernel, width] = golden.inputs.w!.dims;
  if (kernel !== width || [stride, pad, dilation].some(([a, b]) => a !== b)) return undefined;
  const bias = golden.inputs.b ? 1 : 0;
  return {
    ...golden,
    attrs: { filters, kernel, stride: stride[0], padding: pad[0], dilation: dilation[0], groups, bias },
  };
}

/** How the layers say a case, if they can: the case (its attributes as the layer has them) and the form. */
export function layerForm(golden: GoldenCase): { readonly golden: GoldenCase; readonly form: Form } | undefined {
  if (golden.op === 'batchNorm') return { golden, form: batchNorm(golden.attrs.training === true) };
  const square = golden.op === 'conv2d' ? squareConv(golden) : undefined;
  if (square) return { golden: square, form: conv2d };
  const form = golden.op === 'activation' ? activations[golden.name] : (forms[golden.op] ?? libraryForm(golden));
  return form && { golden, form };
}
