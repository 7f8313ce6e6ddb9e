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
export * from './apps/classify.ts';
export * from './apps/segment.ts';
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
export * from './core/dtype.ts';
export * from './core/errors.ts';
export type { Image } from './core/image.ts';
export type { FileEntry, ImageModelSpec, ModelConfig, SegmentClass, SegmentModelSpec } from './core/model-config.ts';
export * from './core/rng.ts';
export { anyDim, type Dim, type Shape, symDim } from './core/shape.ts';
export * from './core/tensor.ts';
export * as labels from './data/blocks/labellers.ts';
export * from './data/blocks/splitters.ts';
export type * from './data/blocks/types.ts';
export { classifyInput, type LabelProbability, topLabels } from './data/classes.ts';
export { type CsvTable, parseCsv } from './data/csv.ts';
export { parseIdx } from './data/idx.ts';
export {
  classIds,
  type RunProbabilities,
  type SegmentOptions,
  segmentInput,
  segmentPicture,
  segmentSize,
} from './data/masks.ts';
export { psnr, ssim } from './data/metrics.ts';
export { type CocoMasks, parseCoco } from './data/segment/coco.ts';
export type { MaskForm } from './data/segment/mask-form.ts';
export { encodeRle, encodeRles, type PackedRle, paintPolygon, paintRle, type Rle } from './data/segment/rle.ts';
export * from './data/split.ts';
export {
  type BagOptions,
  frequentTags,
  type LogisticOptions,
  logisticRegression,
  naiveBayes,
  type TextGuess,
} from './data/text/baselines.ts';
export * from './data/text/beam.ts';
export { Corpus, type TextPart, tokeniseParts, unknownShare } from './data/text/corpus.ts';
export { type DetokeniseOptions, detokenise } from './data/text/detokenise.ts';
export * from './data/text/engine.ts';
export * from './data/text/generate.ts';
export { type HumanNumbers, humanNumbers, textOf } from './data/text/human-numbers.ts';
export { type KneserNey, type KneserNeyOptions, kneserNey } from './data/text/kneser-ney.ts';
export { type LabelledText, labelledTexts, noLabel, type TaggedText, taggedTexts } from './data/text/labelled.ts';
export { textPerplexity } from './data/text/perplexity.ts';
export { type CleanedPosts, cleanPosts, type Post, parsePosts, splitByTime } from './data/text/posts.ts';
export { type SampleOptions, WordSampler } from './data/text/sample.ts';
export { special, specialTokens } from './data/text/special.ts';
export type { OpenTextModel } from './data/text/text-rows.ts';
export { tokenise } from './data/text/tokenise.ts';
export { decodeVocab, encodeVocab, makeVocab, Vocab, type VocabOptions } from './data/text/vocab.ts';
export { type TextWindows, type TextWindowsOptions, textWindows, type WindowBatch } from './data/text/windows.ts';
export { planTiles, restoreImage } from './data/tiles.ts';
export * from './data/transforms/augment.ts';
export {
  denormalise,
  imagenetStatistics,
  normalise,
  type Statistics,
} from './data/transforms/normalise.ts';
export * as transforms from './data/transforms/pixels.ts';
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
export { createLearner, Learner } from './learner/create-learner.ts';
export { exportModel, loadWeightsFile, weightsFile } from './learner/export.ts';
export { type LearningRate, type ParamSplitter, slice, splitByPrefix } from './learner/groups.ts';
export * from './learner/interpret.ts';
export * from './learner/learner.ts';
export { alongSurface, filterDirection, type SurfacePoint, surfaceGrid } from './learner/loss-surface.ts';
export type { LrFound } from './learner/lr-find.ts';
export * as metrics from './learner/metrics.ts';
export type * from './learner/options.ts';
export { lineChart } from './learner/plot/chart.ts';
export { plotConfusion } from './learner/plot/confusion.ts';
export * from './learner/plot/recorder-plots.ts';
export { type Surface, type SurfaceOptions, surfaceChart } from './learner/plot/surface.ts';
export * from './learner/recorder.ts';
export { decodeSafetensors, encodeSafetensors, type SafetensorsFile } from './learner/safetensors.ts';
export * from './learner/trainer.ts';
export { loadWeights } from './learner/weights/load.ts';
export {
  type ChannelRule,
  formatWeightReport,
  type MatchedWeights,
  matchWeights,
  type ShapeChange,
  type WeightReport,
  type WeightRules,
} from './learner/weights/match.ts';
export { readWeights, type WeightFile, type WeightFormat } from './learner/weights/read.ts';
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
export type { Device, Session, SkippedDevice, Tensors } from './run/session.ts';
export { type ArtifactOptions, type ArtifactSegment, trainingArtifacts } from './step/artifacts.ts';
export { type ArtifactSet, artifactNames, type OrtArtifactOptions, ortArtifacts } from './step/ort-artifacts.ts';
export {
  decodeOrtCheckpoint,
  encodeOrtCheckpoint,
  type OrtCheckpoint,
  type OrtOptimizerState,
} from './step/ort-checkpoint.ts';
export * from './step/state.ts';
export { buildInference, buildStep, type StepGraphs, type Task } from './step/train-step.ts';
