/* fettle/tasks: the trainings of the tasks, their models and what runs those. Groups and names as in docs/reference/names.md. */

/* Restore. */

export { type RestoreOptions, restoreImage } from '../training/pictures/tiles.ts';
export { exportRestore, restoreConfigOf } from './restore/net.ts';
export {
  type RestoreRunConfig,
  type RestoreRunOptions,
  type RestoreRunResult,
  restoreRunDefaults,
  runRestore,
} from './restore/recipe.node.ts';

/* Segment. */

export type { SegmentClass, SegmentModelSpec } from './segment/contract.ts';
export { type MaskedItem, readSegmentFolder, type SegmentData } from './segment/folder.node.ts';
export {
  classIds,
  type RunProbabilities,
  type SegmentOptions,
  segmentInput,
  segmentPicture,
  segmentSize,
} from './segment/infer.ts';
export { exportSegment, type SegmentExportFacts, type SegmentNetConfig } from './segment/net.ts';
export {
  runSegment,
  type SegmentRunConfig,
  type SegmentRunOptions,
  type SegmentRunResult,
  segmentRunDefaults,
} from './segment/recipe.node.ts';
export { segmentRetrainDefaults } from './segment/retrain.node.ts';
export { type SegmentScore, type ServedSegment, scoreSegment } from './segment/score.node.ts';

/* Classify. */

export type { ClassifyModelSpec } from './classify/contract.ts';
export { type ClassItem, type ClassifyData, readClassifyFolder } from './classify/data.node.ts';
export { classifyInput, type LabelProbability, topLabels } from './classify/infer.ts';
export {
  type ClassifyExportFacts,
  type ClassifyNetConfig,
  type EncoderConfig,
  exportClassify,
} from './classify/net.ts';
export {
  type ClassifyRunConfig,
  type ClassifyRunOptions,
  type ClassifyRunResult,
  type ClassifyStart,
  classifyRunDefaults,
  runClassify,
} from './classify/recipe.node.ts';
export { type ClassifyScore, scoreClassify } from './classify/score.node.ts';

/* Text. */

export {
  runText,
  type TextRunConfig,
  type TextRunOptions,
  type TextRunResult,
  textRetrainDefaults,
  textRunDefaults,
} from './text/recipe.node.ts';

/* The file config.json of a model. */

export type { FileEntry, ModelConfig } from './config.ts';
export type { ImageModelSpec } from './pictures.ts';
