import type { AnyConfig } from '../../../tasks/config.ts';
import { classifyTask } from './classify.ts';
import { restoreTask } from './restore.ts';
import { segmentTask } from './segment.ts';
import type { PictureTask, TaskRow } from './types.ts';

/** Every task that a picture is sent to. A new one is a row here, its types in {@link PictureTasks}, and a route. */
export const pictureTasks: { readonly [T in PictureTask]: TaskRow<T> } = {
  restore: restoreTask,
  segment: segmentTask,
  classify: classifyTask,
};

export const isPictureTask = (task: AnyConfig['task']): task is PictureTask => Object.hasOwn(pictureTasks, task);
