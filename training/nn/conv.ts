import { ensure } from '../core/errors.ts';
import { knownKeys, namesOf } from '../core/known-keys.ts';
import { staticShape } from '../core/shape.ts';
import { showValue, type Value } from '../onnx/graph.ts';
import * as o from '../ops/build.ts';
import { interleave } from '../ops/phases.ts';
import { channelsOf, perChannel } from './common.ts';
import { isTiny, tinyConv } from './conv-tiny.ts';
import { type Init, icnr, kaimingNormal, zerosInit } from './init.ts';
import type { Scope } from './scope.ts';
import { normedWeight, type WeightNorm } from './weights.ts';

/** A number for every spatial axis, or one for each. */
type PerAxis = number | readonly number[];

export interface ConvLayerOptions {
  readonly filters: number;
  /** 3 by default. */
  readonly kernel?: PerAxis;
  readonly stride?: PerAxis;
  /**
   * Zeros on each side; (kernel - 1) / 2 * dilation, rounded down, by default. `same` keeps the size at stride 1 for even
   * kernels too (PyTorch's: the odd one at the end). A list names each axis, or all starts then all ends.
   */
  readonly padding?: PerAxis | 'same';
  readonly dilation?: PerAxis;
  readonly groups?: number;
  readonly bias?: boolean;
  /** Weight normalisation (Salimans & Kingma 2016): w = g v / |v|, with `weight_g` [K,1,1,1] and `weight_v`. */
  readonly weightNorm?: boolean;
  /** Spectral normalisation (Miyato et al. 2018): w / its largest singular value; see `spectralNormed`. */
  readonly spectralNorm?: boolean;
  readonly init?: Init;
  /** First value of the bias; zeros by default. */
  readonly biasInit?: Init;
}
export type Conv2dOptions = ConvLayerOptions;
export type Conv1dOptions = ConvLayerOptions;

const axes = (value: PerAxis, rank: number): readonly number[] =>
  typeof value === 'number' ? Array.from({ length: rank }, () => value) : value;

const layerNames = namesOf<ConvLayerOptions>({
  filters: true,
  kernel: true,
  stride: true,
  padding: true,
  dilation: true,
  groups: true,
  bias: true,
  weightNorm: true,
  spectralNorm: true,
  init: true,
  biasInit: true,
});

/** Zeros that keep the size: all starts, then all ends. */
function samePads(kernel: readonly number[], dilation: readonly number[], stride: readonly number[]): number[] {
  ensure(
    stride.every((step) => step === 1),
    'bad-argument',
    () => `conv: expected stride 1 with padding 'same', got ${stride}; give the padding in numbers`,
  );
  const reach = kernel.map((size, i) => (size - 1) * dilation[i]!);
  return [...reach.map((total) => Math.floor(total / 2)), ...reach.map((total) => Math.ceil(total / 2))];
}

const normOf = ({ weightNorm = false, spectralNorm = false }: ConvLayerOptions): WeightNorm =>
  weightNorm ? 'weight' : spectralNorm ? 'spectral' : 'none';

/** A convolution layer over `rank` spatial axes. */
function convolution(scope: Scope, x: Value, rank: number, options: ConvLayerOptions): Value {
  const where = `conv${rank}d`;
  knownKeys(where, options, layerNames);
  ensure(
    x.shape.length === rank + 2,
    'bad-shape',
    () => `${where}: expected [N,C] and ${rank} more axes, got ${showValue(x)}`,
  );
  const { filters, groups = 1, bias = true, init = kaimingNormal() } = options;
  const [kernel, stride, dilation] = [options.kernel ?? 3, options.stride ?? 1, options.dilation ?? 1].map((value) =>
    axes(value, rank),
  ) as [readonly number[], readonly number[], readonly number[]];
  const channels = channelsOf(x, where);
  ensure(
    channels % groups === 0 && filters % groups === 0,
    'bad-argument',
    () => `${where}: expected groups that divide channels and filters, got ${groups} of ${channels} and ${filters}`,
  );
  const half = kernel.map((size, i) => Math.floor(((size - 1) * dilation[i]!) / 2));
  const padding = options.padding === 'same' ? samePads(kernel, dilation, stride) : (options.padding ?? half);
  const w = normedWeight(scope, [filters, channels / groups, ...kernel], init, normOf(options));
  const b = bias ? scope.param('bias', [filters], options.biasInit ?? zerosInit) : undefined;
  if (scope.training) {
    const pads = axes(padding, rank);
    const geometry = { stride, dilation, padding: pads.length === rank ? [...pads, ...pads] : pads };
    if (isTiny(x, w, geometry)) return plusBias(tinyConv(x, w, geometry), b);
  }
  return o.conv(x, w, b, { stride, dilation, groups, padding });
}

const plusBias = (y: Value, b: Value | undefined): Value => (b === undefined ? y : o.add(y, perChannel(b, y)));

/**
 * x[N,C,H,W] -> [N,filters,H',W']. Parameters `weight` [filters,C/groups,k,k] (or `weight_g`, `weight_v`; `weight_orig`) and
 * `bias`. `groups` = C is a depthwise convolution. Throws `bad-shape`, `bad-argument`.
 */
export const conv2d = (scope: Scope, x: Value, options: Conv2dOptions): Value => convolution(scope, x, 2, options);

/** x[N,C,L] -> [N,filters,L']; parameters as {@link conv2d}'s, `weight` [filters,C/groups,k]. */
export const conv1d = (scope: Scope, x: Value, options: Conv1dOptions): Value => convolution(scope, x, 1, options);

export interface ConvTranspose2dOptions {
  readonly filters: number;
  /** 3 by default. */
  readonly kernel?: PerAxis;
  readonly stride?: PerAxis;
  /** Taken away on each side of the result; 0 by default. */
  readonly padding?: PerAxis;
  /** Rows and columns added at the end: which of the sizes that a stride makes alike is meant. */
  readonly outputPadding?: PerAxis;
  readonly dilation?: PerAxis;
  readonly groups?: number;
  readonly bias?: boolean;
  readonly init?: Init;
}

const transposeNames = namesOf<ConvTranspose2dOptions>({
  filters: true,
  kernel: true,
  stride: true,
  padding: true,
  outputPadding: true,
  dilation: true,
  groups: true,
  bias: true,
  init: true,
});

/**
 * x[N,C,H,W] -> [N,filters,H',W'] with H' = (H - 1) stride - 2 padding + dilation (k - 1) + outputPadding + 1, PyTorch's
 * ConvTranspose2d. Parameters `weight` [C,filters/groups,k,k], `bias`.
 */
export function convTranspose2d(scope: Scope, x: Value, options: ConvTranspose2dOptions): Value {
  knownKeys('convTranspose2d', options, transposeNames);
  const { filters, kernel = 3, groups = 1, bias = true, init = kaimingNormal(), ...window } = options;
  const channels = channelsOf(x, 'convTranspose2d');
  ensure(
    channels % groups === 0 && filters % groups === 0,
    'bad-argument',
    () =>
      `convTranspose2d: expected groups that divide channels and filters, got ${groups} of ${channels} and ${filters}`,
  );
  const w = scope.param('weight', [channels, filters / groups, ...axes(kernel, 2)], init);
  const b = bias ? scope.param('bias', [filters], zerosInit) : undefined;
  return o.convTranspose(x, w, b, { ...window, groups });
}

/**
 * A 2 x 2 mean over every pixel and its upper and left neighbours, the border repeated: takes the grid out of a pixel
 * shuffle (Sugawara et al. 2018). Shape unchanged.
 */
export const blur2x2 = (x: Value): Value => o.averagePool(o.pad2d(x, [1, 1, 0, 0], 'edge'), { kernel: 2, stride: 1 });

/** Most columns for which picking them by a product is faster than moving them one by one. */
const mostColumns = 256;

/**
 * [N,C*r*r,H,W] -> [N,C,H*r,W*r] for `factor` r, PyTorch's pixel_shuffle. In a training graph r = 2 is a move of whole rows and a
 * product that interleaves their columns: ONNX Runtime's DepthToSpace moves one element after the other.
 */
export function pixelShuffle(scope: Scope, x: Value, factor = 2): Value {
  if (!scope.training || factor !== 2 || x.shape.some((dim) => typeof dim !== 'number'))
    return o.pixelShuffle(x, factor);
  const [n, c, h, w] = staticShape(x.shape, 'pixelShuffle') as [number, number, number, number];
  if (c % 4 !== 0 || 2 * w > mostColumns) return o.pixelShuffle(x, factor);
  return interleave(o.transpose(o.reshape(x, [n, c / 4, 2, 2, h, w]), [0, 1, 4, 2, 3, 5]));
}

export interface PixelShuffleOptions {
  readonly filters: number;
  /** 2 by default. */
  readonly factor?: number;
  readonly blur?: boolean;
  readonly weightNorm?: boolean;
}

const shuffleNames = namesOf<PixelShuffleOptions>({ filters: true, factor: true, blur: true, weightNorm: true });

/** fastai's PixelShuffle_ICNR: x[N,C,H,W] -> 1x1 conv -> ReLU -> pixel shuffle -> (blur) -> [N,filters,H*factor,W*factor]. */
export function pixelShuffleIcnr(scope: Scope, x: Value, options: PixelShuffleOptions): Value {
  knownKeys('pixelShuffleIcnr', options, shuffleNames);
  const { filters, factor = 2, blur = false, weightNorm = true } = options;
  const wide = scope.in('conv', (s) =>
    conv2d(s, x, { filters: filters * factor ** 2, kernel: 1, weightNorm, init: icnr(factor) }),
  );
  const shuffled = pixelShuffle(scope, o.relu(wide), factor);
  return blur ? blur2x2(shuffled) : shuffled;
}
