/*
 * fettle: what runs in Node and in the browser alike. Families whose names are ordinary words are namespaces (`ops.add`, `nn.conv2d`,
 * `losses.mseLoss`). `fettle/node` and `fettle/web` open sessions, `fettle/tasks` has the tasks. docs/reference/names.md has the names in
 * the same groups; test/arch/surface.test.ts pins them.
 */

/* Learners: a model, its loss and its data. */

export type { Activation, Loss, Model } from './learner/compiled.ts';
export { exportModel, type LearnerExportOptions, loadWeightsFile, weightsFile } from './learner/export.ts';
export {
  type LearningRate,
  type LearningRateSlice,
  type ParamSplitter,
  slice,
  splitByPrefix,
} from './learner/groups.ts';
export { createLearner, Learner } from './learner/learner.ts';
export type { LrFindOptions, LrFound } from './learner/lr-find.ts';
export * as metrics from './learner/metrics.ts';
export type {
  Batch,
  FineTuneOptions,
  FitCallOptions,
  FlatCosCallOptions,
  History,
  LearnerData,
  LearnerOptions,
  Loader,
  OneCycleCallOptions,
  Predictions,
  RunStore,
  SgdrCallOptions,
  StepParts,
  ValidateOptions,
} from './learner/options.ts';
export type { EpochRow, Progress } from './loop/recorder.ts';

/* Ready-made learners. */

export { type TabularLearnerOptions, tabularLearner } from './apps/tabular.ts';
export {
  encoderWeights,
  exportLanguageModel,
  type LanguageModel,
  type LanguageModelOptions,
  languageModelLearner,
  loadLanguageModel,
  openTextModel,
} from './apps/text.ts';
export {
  type TextClassifier,
  type TextClassifierOptions,
  textClassifierLearner,
  textIds,
  unfreezeGradually,
} from './apps/text-classifier.ts';
export { type TextTagger, type TextTaggerOptions, textTaggerLearner, type WordTag } from './apps/text-tagger.ts';
export { type UnetLearnerOptions, unetLearner, type VisionLearnerOptions, visionLearner } from './apps/vision.ts';

/* Callbacks. */

export { ema } from './learner/callbacks/ema.ts';
export { accumulateGradients, gradientClip } from './learner/callbacks/gradients.ts';
export { cutmix, type MixOptions, mixup } from './learner/callbacks/mixup.ts';
export { showProgress } from './learner/callbacks/progress.ts';
export { stopOnNan } from './learner/callbacks/stop-on-nan.ts';
export { earlyStopping, reduceOnPlateau, saveBest, type TrackOptions } from './learner/callbacks/track.ts';

/* Data, tensors, random numbers. */

export type { CsvTable } from './core/csv.ts';
export { parseCsv } from './core/csv.ts';
export type { Image, Statistics } from './core/image.ts';
export { imagenetStatistics } from './core/image.ts';
export { createRng, type Rng } from './core/rng.ts';
export { f32, i32, i64, type Tensor, tensor, zeros } from './core/tensor.ts';
export { parseIdx } from './data/idx.ts';
export * as labels from './data/labellers.ts';
export {
  type ArrayLoaderOptions,
  arrayLoaders,
  type RowBatch,
  type RowLoader,
  type RowLoaders,
  type RowOptions,
} from './data/rows.ts';
export {
  noSplit,
  type Splitter,
  splitByColumn,
  splitByFolder,
  splitByFunction,
  splitByIndices,
  splitRandomly,
} from './data/splitters.ts';
export {
  type Cell,
  type TableRow,
  type TableSpec,
  type TabularLoaderOptions,
  type TabularLoaders,
  tabularLoaders,
} from './data/tables.ts';
export type { BlockBatch, Getter, LabelKind, Labeller } from './data/types.ts';
export { type CocoMasks, parseCoco } from './pictures/masks/coco.ts';
export type { MaskForm } from './pictures/masks/mask-form.ts';
export { encodeRle, type Rle } from './pictures/masks/rle.ts';
export { psnr, ssim } from './pictures/quality.ts';
export {
  getTransforms,
  randomResizedCrop,
  randPad,
  type Transform,
  type TransformSet,
} from './pictures/transforms/augment.ts';
export * as transforms from './pictures/transforms/pixels.ts';

/* Texts. */

export { type Beam, type BeamOptions, beamSearch } from './generate/beam.ts';
export { type Candidate, type GenerateOptions, TextEngine, type TextEngineOptions } from './generate/engine.ts';
export { generateText } from './generate/generate.ts';
export { textPerplexity } from './generate/perplexity.ts';
export type { SampleOptions } from './generate/sample.ts';
export type { OpenTextModel } from './generate/text-rows.ts';
export {
  type BagOptions,
  frequentTags,
  type LogisticOptions,
  logisticRegression,
  naiveBayes,
  type TextGuess,
} from './text/baselines.ts';
export type { Corpus } from './text/corpus.ts';
export { type DetokeniseOptions, detokenise } from './text/detokenise.ts';
export { type HumanNumbers, humanNumbers, textOf } from './text/human-numbers.ts';
export { type KneserNey, type KneserNeyOptions, kneserNey } from './text/kneser-ney.ts';
export { type LabelledText, noLabel, type TaggedText } from './text/labelled.ts';
export type { Post } from './text/posts.ts';
export { special } from './text/special.ts';
export { tokenise } from './text/tokenise.ts';
export { makeVocab, Vocab, type VocabOptions } from './text/vocab.ts';
export { type TextWindows, type TextWindowsOptions, textWindows, type WindowBatch } from './text/windows.ts';

/* Results and plots. */

export { plotConfusion } from './report/confusion.ts';
export {
  type ClassReport,
  classificationReport,
  confusionMatrix,
  confusionOver,
  type ItemResult,
  mostConfused,
  type TtaOptions,
  topClass,
  topLosses,
  tta,
} from './report/interpret.ts';
export { plotLoss, plotLrFind, plotMetrics, plotSchedule } from './report/recorder-plots.ts';

/* Layers, losses, optimisers. */

export type { Init } from './nn/init.ts';
export * as init from './nn/init.ts';
export * as nn from './nn/layers.ts';
export * as losses from './nn/losses.ts';
export * as ops from './ops/build.ts';
export { type BuildOptimizerOptions, buildOptimizer, defineOptimizer, type OptimizerDef } from './optim/define.ts';
export { adam, adamw, nesterov, rmsprop, sgd } from './optim/optimizers.ts';
export * as schedules from './optim/schedules.ts';

/* Architectures. */

export type { AwdLstmConfig } from '../models/awd-lstm.ts';
export { type Backbone, type BackboneName, backbones } from '../models/backbones.ts';
export { type ClassifierHeadOptions, classifier, classifierHead } from '../models/classifier.ts';
export { type DenseNetConfig, denseNet, denseNetConfigs } from '../models/dense-encoder.ts';
export { type DynamicUnetConfig, dynamicUnet, unetGroups } from '../models/dynamic-unet.ts';
export type { Encoder, EncoderStage } from '../models/encoder.ts';
export { type ResNetConfig, resnet, resnetConfigs } from '../models/resnet.ts';
export { type SmallEncoderConfig, smallEncoder } from '../models/small-encoder.ts';
export { type TabularConfig, tabularModel } from '../models/tabular.ts';
export { type RestoreUnetConfig, restoreUnetDefaults } from '../models/unet.ts';
export { type VggConfig, vgg, vggConfigs } from '../models/vgg.ts';

/* Weights: files of other programs, by name. */

export { initializersOf } from './onnx/weights.ts';
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

/* Trainings without a learner: tasks, graphs, steps. */

export type { DType } from './core/dtype.ts';
export { type ErrorCode, FettleError } from './core/errors.ts';
export { anyDim, type Dim, type Shape, symDim } from './core/shape.ts';
export { backward } from './grad/backward.ts';
export {
  type CompiledEvaluation,
  type CompiledOptimizer,
  type CompiledStep,
  compileEvaluation,
  compileOptimizer,
  compileStep,
  type Hyper,
  type OpenGraph,
} from './loop/compile.ts';
export type { Callback, Event, FitContext } from './loop/fit-loop.ts';
export { type EpochSource, type FitOptions, fitLoop, type OwnStep, type TrainStep } from './loop/fit-loop.ts';
export { compileTurns, type Turn, type TurnOptions } from './loop/turns.ts';
export {
  createScope,
  initialWeights,
  type ParamSpec,
  type Scope,
  type ScopeOptions,
  type Weights,
} from './nn/scope.ts';
export { type ExportOptions, toOnnx } from './onnx/export.ts';
export { Graph, printGraph, type Value } from './onnx/graph.ts';
export { type QuantiseOptions, quantiseWeights } from './onnx/quantise.ts';
export type { Device, Session, SkippedDevice, Tensors } from './run/session.ts';
export { copyWeights, createState, initState, type StateOptions, setWeights, type TrainState } from './step/state.ts';
export {
  buildInference,
  defineTask,
  type InputTensors,
  type InputValues,
  type Task,
  type TaskInput,
  type TaskInputs,
} from './step/train-step.ts';

/* Trainings as files, for other programs. */

export { type ArtifactOptions, type ArtifactSpan, trainingArtifacts } from './export/artifacts.ts';
export { type ArtifactSet, type OrtArtifactOptions, ortArtifacts } from './export/ort-artifacts.ts';
export { decodeOrtCheckpoint, type OrtCheckpoint, type OrtOptimizerState } from './export/ort-checkpoint.ts';
export {
  exportOrtTraining,
  exportTraining,
  type OrtTrainingExportOptions,
  type TrainingExportOptions,
} from './learner/artifacts.ts';
