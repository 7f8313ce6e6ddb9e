import type { ModelConfig } from '../../training/core/model-config.ts';
import { restoreTask } from './restore.ts';
import type { PictureTask, TaskRow } from './types.ts';

/** Every task that a picture is sent to. A new one is a row here, its types in {@link PictureTasks}, and a route. */
export const pictureTasks: { readonly [T in PictureTask]: TaskRow<T> } = {
  restore: restoreTask,
};

export const isPictureTask = (task: ModelConfig['task']): task is PictureTask => Object.hasOwn(pictureTasks, task);
