/*
 * fettle: what runs in Node and in the browser alike. Families whose names are ordinary words come as namespaces
 * (`ops.add`, `nn.conv2d`, `losses.mseLoss`); `fettle/node` adds what needs Node.
 */

export { type RestoreUnetConfig, restoreUnet, restoreUnetDefaults, unetMultiple } from '../models/unet.ts';
export * from './core/dtype.ts';
export * from './core/errors.ts';
export type { Image } from './core/image.ts';
export type { FileEntry, ImageModelSpec, ModelConfig } from './core/model-config.ts';
export * from './core/rng.ts';
export { type Dim, type Shape, symDim } from './core/shape.ts';
export * from './core/tensor.ts';
export { psnr, ssim } from './data/metrics.ts';
export * from './data/split.ts';
export { planTiles, restoreImage } from './data/tiles.ts';
export * as transforms from './data/transforms/pixels.ts';
export { backward } from './grad/backward.ts';
export * from './learner/learner.ts';
export * from './learner/recorder.ts';
export { decodeSafetensors, encodeSafetensors, type SafetensorsFile } from './learner/safetensors.ts';
export * from './learner/trainer.ts';
export * as init from './nn/init.ts';
export * as nn from './nn/layers.ts';
export * as losses from './nn/losses.ts';
export { createScope, initialWeights, type ParamSpec, type Scope, type Weights } from './nn/scope.ts';
export { type ExportOptions, toOnnx } from './onnx/export.ts';
export { Graph, printGraph, type Value } from './onnx/graph.ts';
export * as ops from './ops/build.ts';
export * from './optim/define.ts';
export * from './optim/optimizers.ts';
export * as schedules from './optim/schedules.ts';
export type { Device, Session, SkippedDevice, Tensors } from './run/session.ts';
export * from './step/state.ts';
export { buildInference, buildStep, type StepGraphs, type Task } from './step/train-step.ts';
