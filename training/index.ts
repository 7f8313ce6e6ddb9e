/*
 * fettle: what runs in Node and in the browser alike. Families whose names are ordinary words come as namespaces
 * (`ops.add`, `nn.conv2d`, `losses.mseLoss`); `fettle/node` adds what needs Node.
 */

export { type AwdLstmConfig, awdLstm, awdLstmDefaults } from '../models/awd-lstm.ts';
export { type Backbone, type BackboneName, backbones } from '../models/backbones.ts';
export { type ClassifierHeadOptions, classifier, classifierGroups, classifierHead } from '../models/classifier.ts';
export { type DenseNetConfig, denseEncoder, denseNet, denseNetConfigs } from '../models/dense-encoder.ts';
export { type DynamicUnetConfig, dynamicUnet, unetGroups } from '../models/dynamic-unet.ts';
export type { Encoder, EncoderStage } from '../models/encoder.ts';
export { type ResNetConfig, resnet, resnetConfigs, resnetEncoder } from '../models/resnet.ts';
export { type SmallEncoderConfig, smallEncoder, smallEncoderDefaults } from '../models/small-encoder.ts';
export { type RestoreUnetConfig, restoreUnet, restoreUnetDefaults, unetMultiple } from '../models/unet.ts';
export { type VggConfig, vgg, vggConfigs, vggEncoder } from '../models/vgg.ts';
export { classifyInput, type LabelProbability, topLabels } from '../tasks/classify/infer.ts';
export * from '../tasks/classify/net.ts';
export type { FileEntry, ModelConfig } from '../tasks/config.ts';
export type { ImageModelSpec } from '../tasks/pictures.ts';
export type { SegmentClass, SegmentModelSpec } from '../tasks/segment/contract.ts';
export {
  classIds,
  type RunProbabilities,
  type SegmentOptions,
  segmentInput,
  segmentPicture,
  segmentSize,
} from '../tasks/segment/infer.ts';
export * from '../tasks/segment/net.ts';
export {
  convertWords,
  encoderWeights,
  exportLanguageModel,
  type LanguageModel,
  type LanguageModelOptions,
  languageModelLearner,
  loadLanguageModel,
  openTextModel,
  type TextModelFacts,
  textModelFacts,
} from './apps/text.ts';
export {
  type TextClassifier,
  type TextClassifierOptions,
  textClassifierLearner,
  textIds,
  unfreezeGradually,
} from './apps/text-classifier.ts';
export { type TextTagger, type TextTaggerOptions, textTaggerLearner, type WordTag } from './apps/text-tagger.ts';
export { type CsvTable, parseCsv } from './core/csv.ts';
export * from './core/dtype.ts';
export * from './core/errors.ts';
export type { Image } from './core/image.ts';
export * from './core/rng.ts';
export { anyDim, type Dim, type Shape, symDim } from './core/shape.ts';
export * from './core/tensor.ts';
export { parseIdx } from './data/idx.ts';
export * as labels from './data/labellers.ts';
export * from './data/split.ts';
export * from './data/splitters.ts';
export type * from './data/types.ts';
export { type ArtifactOptions, type ArtifactSegment, trainingArtifacts } from './export/artifacts.ts';
export { type ArtifactSet, artifactNames, type OrtArtifactOptions, ortArtifacts } from './export/ort-artifacts.ts';
export {
  decodeOrtCheckpoint,
  encodeOrtCheckpoint,
  type OrtCheckpoint,
  type OrtOptimizerState,
} from './export/ort-checkpoint.ts';
export * from './generate/beam.ts';
export * from './generate/engine.ts';
export * from './generate/generate.ts';
export { textPerplexity } from './generate/perplexity.ts';
export { type SampleOptions, WordSampler } from './generate/sample.ts';
export type { OpenTextModel } from './generate/text-rows.ts';
export { backward } from './grad/backward.ts';
export {
  exportOrtTraining,
  exportTraining,
  type OrtTrainingExportOptions,
  type TrainingExportOptions,
} from './learner/artifacts.ts';
export { ema } from './learner/callbacks/ema.ts';
export { accumulateGradients, gradientClip } from './learner/callbacks/gradients.ts';
export { cutmix, type MixOptions, mixup } from './learner/callbacks/mixup.ts';
export { showProgress } from './learner/callbacks/progress.ts';
export { smoothed } from './learner/callbacks/record.ts';
export { stopOnNan } from './learner/callbacks/stop-on-nan.ts';
export { earlyStopping, reduceOnPlateau, saveBest, type TrackOptions } from './learner/callbacks/track.ts';
export { type Activation, activationOf, type Loss, type Model } from './learner/compiled.ts';
export { exportModel, loadWeightsFile, weightsFile } from './learner/export.ts';
export { type LearningRate, type ParamSplitter, slice, splitByPrefix } from './learner/groups.ts';
export { createLearner, Learner } from './learner/learner.ts';
export type { LrFound } from './learner/lr-find.ts';
export * as metrics from './learner/metrics.ts';
export type * from './learner/options.ts';
export * from './loop/compile.ts';
export * from './loop/fit-loop.ts';
export * from './loop/recorder.ts';
export * as init from './nn/init.ts';
export * as nn from './nn/layers.ts';
export * as losses from './nn/losses.ts';
export { createScope, initialWeights, type ParamSpec, type Scope, type Weights } from './nn/scope.ts';
export { type ExportOptions, toOnnx } from './onnx/export.ts';
export { Graph, printGraph, type Value } from './onnx/graph.ts';
export { type QuantiseOptions, quantiseWeights } from './onnx/quantise.ts';
export { initializersOf } from './onnx/weights.ts';
export * as ops from './ops/build.ts';
export * from './optim/define.ts';
export * from './optim/optimizers.ts';
export * as schedules from './optim/schedules.ts';
export { type CocoMasks, parseCoco } from './pictures/masks/coco.ts';
export type { MaskForm } from './pictures/masks/mask-form.ts';
export { encodeRle, encodeRles, type PackedRle, paintPolygon, paintRle, type Rle } from './pictures/masks/rle.ts';
export { psnr, ssim } from './pictures/quality.ts';
export { planTiles, restoreImage } from './pictures/tiles.ts';
export * from './pictures/transforms/augment.ts';
export {
  denormalise,
  imagenetStatistics,
  normalise,
  type Statistics,
} from './pictures/transforms/normalise.ts';
export * as transforms from './pictures/transforms/pixels.ts';
export { lineChart } from './report/chart.ts';
export { plotConfusion } from './report/confusion.ts';
export * from './report/interpret.ts';
export { alongSurface, filterDirection, type SurfacePoint, surfaceGrid } from './report/loss-surface.ts';
export * from './report/recorder-plots.ts';
export { type Surface, type SurfaceOptions, surfaceChart } from './report/surface.ts';
export type { Device, Session, SkippedDevice, Tensors } from './run/session.ts';
export * from './step/state.ts';
export { buildInference, buildStep, type StepGraphs, type Task } from './step/train-step.ts';
export {
  type BagOptions,
  frequentTags,
  type LogisticOptions,
  logisticRegression,
  naiveBayes,
  type TextGuess,
} from './text/baselines.ts';
export { Corpus, type TextPart, tokeniseParts, unknownShare } from './text/corpus.ts';
export { type DetokeniseOptions, detokenise } from './text/detokenise.ts';
export { type HumanNumbers, humanNumbers, textOf } from './text/human-numbers.ts';
export { type KneserNey, type KneserNeyOptions, kneserNey } from './text/kneser-ney.ts';
export { type LabelledText, labelledTexts, noLabel, type TaggedText, taggedTexts } from './text/labelled.ts';
export { type CleanedPosts, cleanPosts, type Post, parsePosts, splitByTime } from './text/posts.ts';
export { special, specialTokens } from './text/special.ts';
export { tokenise } from './text/tokenise.ts';
export { decodeVocab, encodeVocab, makeVocab, Vocab, type VocabOptions } from './text/vocab.ts';
export { type TextWindows, type TextWindowsOptions, textWindows, type WindowBatch } from './text/windows.ts';
export { loadWeights } from './weights/load.ts';
export {
  type ChannelRule,
  formatWeightReport,
  type MatchedWeights,
  matchWeights,
  type ShapeChange,
  type WeightReport,
  type WeightRules,
} from './weights/match.ts';
export { readWeights, type WeightFile, type WeightFormat } from './weights/read.ts';
export { decodeSafetensors, encodeSafetensors, type SafetensorsFile } from './weights/safetensors.ts';
