/* fettle/node: sessions, files, data blocks and folders of runs, for which Node is needed. Groups and names as in docs/reference/names.md. */

/* Sessions. */

export { type ChosenDevice, chooseDevice, type NodeDevice, type OpenOptions, openSession } from './run/ort.node.ts';

/* Data. */

export { createDataLoaders, type DataBlock, dataBlock } from './data/block.node.ts';
export { crappify } from './data/crappify.node.ts';
export type { DataLoader, DataLoaders, LoaderOptions } from './data/loaders.node.ts';
export type { BatchTransform, DataBlockOptions } from './data/plan.ts';
export { type ReadContext, readItem } from './data/read-item.node.ts';
export { showSamples } from './data/show.node.ts';
export {
  type ArraySource,
  type FromCsvOptions,
  fromArrays,
  fromCsv,
  fromFiles,
  fromFolder,
  fromIdx,
} from './data/sources.node.ts';
export { decodeRgb } from './pictures/decode.node.ts';
export { encodePng } from './pictures/image-io.node.ts';
export { encodePaletteIds } from './pictures/masks/palette-png.node.ts';

/* Texts. */

export { type CorpusOptions, readCorpus, readParagraphs } from './text/corpus.node.ts';
export { readPosts, readTextFolder, type TextFolder } from './text/read-texts.node.ts';

/* Files and results. */

export { writeDurably } from './core/durable.node.ts';
export { plotTopLosses, type ShowOptions, showResults } from './report/cells.node.ts';
export { savePlot } from './report/png.node.ts';
export { csvLog, tensorBoard } from './runs/logs.node.ts';
export { type RunFolderOptions, runFolder } from './runs/run-folder.node.ts';
export { readWeightsFile } from './weights/read.node.ts';
