/* fettle/node: sessions, photos, damages and training runs, for which Node is needed. */

export {
  type ClassItem,
  type ClassifyData,
  inspectPhotos,
  readClassifyFolder,
} from '../tasks/classify/data.node.ts';
export {
  type ClassifyRunConfig,
  type ClassifyRunOptions,
  type ClassifyRunResult,
  type ClassifyStart,
  classifyRunDefaults,
  runClassify,
} from '../tasks/classify/recipe.node.ts';
export { type ClassifyScore, scoreClassify } from '../tasks/classify/score.node.ts';
export { createValidationPairs } from '../tasks/restore/held-out.node.ts';
export { exportRestore, restoreConfigOf, restoreTask } from '../tasks/restore/net.ts';
export {
  type RestoreRunConfig,
  type RestoreRunOptions,
  restoreRunDefaults,
  runRestore,
} from '../tasks/restore/recipe.node.ts';
export { type MaskedItem, readSegmentFolder, type SegmentData } from '../tasks/segment/folder.node.ts';
export {
  runSegment,
  type SegmentRunConfig,
  type SegmentRunOptions,
  segmentRunDefaults,
} from '../tasks/segment/recipe.node.ts';
export { anyColors, anyWayUp, fitToPhotos, segmentRetrainDefaults } from '../tasks/segment/retrain.node.ts';
export { type SegmentScore, type ServedSegment, scoreSegment } from '../tasks/segment/score.node.ts';
export {
  runText,
  type TextRunConfig,
  type TextRunOptions,
  type TextRunResult,
  textRetrainDefaults,
  textRunDefaults,
} from '../tasks/text/recipe.node.ts';
export { writeDurably } from './core/durable.node.ts';
export { createDataLoaders, type DataBlock, dataBlock } from './data/block.node.ts';
export { crappify } from './data/crappify.node.ts';
export type { DataLoader, DataLoaders, LoaderOptions } from './data/loaders.node.ts';
export type { BatchTransform, DataBlockOptions } from './data/plan.ts';
export { type ReadContext, readItem } from './data/read-item.node.ts';
export { showSamples } from './data/show.node.ts';
export * from './data/sources.node.ts';
export * from './pictures/damage/registry.node.ts';
export { defineDamage } from './pictures/damage/types.ts';
export { decodeRgb } from './pictures/decode.node.ts';
export { showBatch } from './pictures/grid.node.ts';
export { encodeJpeg, encodePng, resizeImage } from './pictures/image-io.node.ts';
export { listImages, listPairs } from './pictures/items.node.ts';
export { decodeMask } from './pictures/masks/mask-file.node.ts';
export { encodePaletteIds, readPaletteIds } from './pictures/masks/palette-png.node.ts';
export { itemPicture, pictureCells, plotTopLosses, type ShowOptions, showResults } from './report/cells.node.ts';
export { savePlot, svgToPng } from './report/png.node.ts';
export { type ChosenDevice, chooseDevice, type NodeDevice, type OpenOptions, openSession } from './run/ort.node.ts';
export * from './runs/checkpoint.node.ts';
export { csvLog, tensorBoard } from './runs/logs.node.ts';
export { type RunFolderOptions, runFolder } from './runs/run-folder.node.ts';
export { type CorpusOptions, readCorpus, readParagraphs } from './text/corpus.node.ts';
export { readPosts, readTextFolder, type TextFolder } from './text/read-texts.node.ts';
export { readWeightsFile } from './weights/read.node.ts';
