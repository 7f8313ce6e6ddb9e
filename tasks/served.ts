import type { ServedTask } from '../server/serve/task.ts';
import { classifyTask } from './classify/serve.node.ts';
import { restoreTask } from './restore/serve.node.ts';
import { segmentTask } from './segment/serve.node.ts';
import { textTask } from './text/serve.node.ts';

/** Every task that is served. Servers and their worker threads load this table by its address, so another one can take its place. */
export const servedTasks = [restoreTask, segmentTask, classifyTask, textTask] as const satisfies readonly ServedTask[];

type PictureRow = Extract<(typeof servedTasks)[number], { kind: 'picture' }>;

/** A task that a picture is sent to. */
export type PictureTask = PictureRow['contract']['name'];
export type RowOf<T extends PictureTask> = Extract<PictureRow, { contract: { name: T } }>;
