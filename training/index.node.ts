/* fettle/node: sessions, photos, damages and training runs, for which Node is needed. */

export {
  type ClassItem,
  type ClassifyData,
  inspectPhotos,
  readClassifyFolder,
} from './apps/classify-data.node.ts';
export {
  type ClassifyRunConfig,
  type ClassifyRunOptions,
  type ClassifyRunResult,
  type ClassifyStart,
  classifyRunDefaults,
  runClassify,
} from './apps/classify-run.node.ts';
export { type ClassifyScore, scoreClassify } from './apps/classify-score.node.ts';
export { exportRestore, restoreConfigOf, restoreTask } from './apps/restore.node.ts';
export {
  type RestoreRunConfig,
  type RestoreRunOptions,
  restoreRunDefaults,
  runRestore,
} from './apps/restore-run.node.ts';
export { anyColors, anyWayUp, fitToPhotos, segmentRetrainDefaults } from './apps/segment-retrain.node.ts';
export {
  runSegment,
  type SegmentRunConfig,
  type SegmentRunOptions,
  segmentRunDefaults,
} from './apps/segment-run.node.ts';
export { type SegmentScore, type ServedSegment, scoreSegment } from './apps/segment-score.node.ts';
export {
  runText,
  type TextRunConfig,
  type TextRunOptions,
  type TextRunResult,
  textRetrainDefaults,
  textRunDefaults,
} from './apps/text-run.node.ts';
export { createDataLoaders, type DataBlock, dataBlock } from './data/blocks/block.node.ts';
export type { DataLoader, DataLoaders, LoaderOptions } from './data/blocks/loaders.node.ts';
export type { BatchTransform, DataBlockOptions } from './data/blocks/plan.ts';
export { type ReadContext, readItem } from './data/blocks/read-item.node.ts';
export { showSamples } from './data/blocks/show.node.ts';
export * from './data/blocks/sources.node.ts';
export { crappify } from './data/crappify.node.ts';
export * from './data/damage/registry.node.ts';
export { defineDamage } from './data/damage/types.ts';
export { decodeRgb, encodeJpeg, encodePng, resizeImage } from './data/image-io.node.ts';
export { listImages, listPairs } from './data/items.node.ts';
export { createPairLoader, type PairBatch, type PairLoader, type PairLoaderOptions } from './data/loader.node.ts';
export { type MaskedItem, readSegmentFolder, type SegmentData } from './data/segment/folder.node.ts';
export { decodeMask } from './data/segment/mask-file.node.ts';
export { encodePaletteIds, readPaletteIds } from './data/segment/palette-png.node.ts';
export { showBatch } from './data/show.node.ts';
export { type CorpusOptions, readCorpus, readParagraphs } from './data/text/corpus.node.ts';
export { readPosts, readTextFolder, type TextFolder } from './data/text/read-texts.node.ts';
export { createValidationPairs } from './data/validation.node.ts';
export { csvLog, tensorBoard } from './learner/callbacks/logs.node.ts';
export * from './learner/checkpoint.node.ts';
export { itemPicture, pictureCells, plotTopLosses, type ShowOptions, showResults } from './learner/plot/cells.node.ts';
export { savePlot, svgToPng } from './learner/plot/png.node.ts';
export { type RunFolderOptions, runFolder } from './learner/run-folder.node.ts';
export { readWeightsFile } from './learner/weights/read.node.ts';
export { type ChosenDevice, chooseDevice, type NodeDevice, type OpenOptions, openSession } from './run/ort.node.ts';
