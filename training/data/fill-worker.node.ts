import { workerData } from 'node:worker_threads';
import { serveTasks } from '../core/worker-pool.node.ts';
import { samplerOf } from './decode.node.ts';
import { createFiller, type FillerData, type FillReply, type FillTask } from './fill.ts';

/** What a loader's thread knows from its start. */
export interface FillThreadData extends FillerData {
  readonly seed: number;
  readonly cacheBytes: number;
}

const data = workerData as FillThreadData;
const fill = createFiller(data, samplerOf(data.spec, data.seed, data.cacheBytes));

serveTasks<FillTask, FillReply>(async (task) => ({ result: await fill(task), transfer: [task.buffer] }), 3);
