import type { PictureTask, TaskRow } from '../server/serve/task.ts';
import { classifyTask } from './classify/serve.node.ts';
import type { AnyConfig } from './config.ts';
import { restoreTask } from './restore/serve.node.ts';
import { segmentTask } from './segment/serve.node.ts';

/** Every task that a picture is sent to. A new one is a row here, its types in {@link PictureTasks}, and a route. */
export const pictureTasks: { readonly [T in PictureTask]: TaskRow<T> } = {
  restore: restoreTask,
  segment: segmentTask,
  classify: classifyTask,
};

export const isPictureTask = (task: AnyConfig['task']): task is PictureTask => Object.hasOwn(pictureTasks, task);
