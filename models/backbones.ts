import type { Scope } from '../training/nn/scope.ts';
import type { Value } from '../training/onnx/graph.ts';
import { type DenseNetConfig, denseEncoder, denseNet, denseNetConfigs } from './dense-encoder.ts';
import type { Encoder } from './encoder.ts';
import { type ResNetConfig, resnet, resnetConfigs, resnetEncoder } from './resnet.ts';
import { type VggConfig, vgg, vggConfigs, vggEncoder } from './vgg.ts';

/** A classifier whose weights torchvision has, and its body. */
export interface Backbone {
  readonly encoder: Encoder;
  /** x f32[N,C,H,W], normalised -> scores f32[N,classes]; torchvision's 1000 classes by default. */
  readonly classify: (scope: Scope, x: Value, options?: { readonly classes?: number }) => Value;
}

const ofResnet = (config: ResNetConfig): Backbone => ({
  encoder: resnetEncoder(config),
  classify: (scope, x, options) => resnet(scope, x, { ...config, ...options }),
});

const ofVgg = (config: VggConfig): Backbone => ({
  encoder: vggEncoder(config),
  classify: (scope, x, options) => vgg(scope, x, { ...config, ...options }),
});

const ofDense = (config: DenseNetConfig): Backbone => ({
  encoder: denseEncoder(config),
  classify: (scope, x, options) => denseNet(scope, x, { ...config, ...options }),
});

/** The classifiers by torchvision's names. */
export const backbones = {
  resnet18: ofResnet(resnetConfigs.resnet18),
  resnet34: ofResnet(resnetConfigs.resnet34),
  resnet50: ofResnet(resnetConfigs.resnet50),
  vgg16_bn: ofVgg(vggConfigs.vgg16_bn),
  densenet121: ofDense(denseNetConfigs.densenet121),
} as const satisfies Record<string, Backbone>;

export type BackboneName = keyof typeof backbones;
