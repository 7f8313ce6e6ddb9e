import type { Scope } from '../training/nn/scope.ts';
import type { Value } from '../training/onnx/graph.ts';

/** A feature map that an encoder gives out: the last one before its size changes. */
export interface EncoderStage {
  /** The layer it comes from, by torchvision's name. */
  readonly name: string;
  readonly channels: number;
  /** Input pixels along one side of a feature pixel: 2 is half the size. */
  readonly reduction: number;
}

/** The body of a classifier without its head, for whatever is put on top: another head, a U-Net's decoder, a feature loss. */
export interface Encoder {
  /** The feature maps of {@link features}, largest first. */
  readonly stages: readonly EncoderStage[];
  /** x[N,C,H,W], any C and size -> one map [N,channels,about H/reduction,about W/reduction] per stage. */
  readonly features: (scope: Scope, x: Value) => readonly Value[];
  /** Prefixes of parameter names, early layers and late layers, for discriminative learning rates: fastai's splits. */
  readonly groups: readonly (readonly string[])[];
}
