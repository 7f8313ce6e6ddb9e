/* fettle/tasks in a browser: what the tasks' models are fed with, and what is made of their results. */

export { type RestoreOptions, restoreImage } from '../training/pictures/tiles.ts';
export { classifyInput, type LabelProbability, topLabels } from './classify/infer.ts';
export {
  classIds,
  type RunProbabilities,
  type SegmentOptions,
  segmentInput,
  segmentPicture,
  segmentSize,
} from './segment/infer.ts';
