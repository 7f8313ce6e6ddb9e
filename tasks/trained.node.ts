import { classifyTask } from './classify/cli.node.ts';
import { restoreTask } from './restore/cli.node.ts';
import { segmentTask } from './segment/cli.node.ts';
import { textTask } from './text/cli.node.ts';
import type { TrainedTask } from './training.node.ts';

/** Every task that the command line trains. What is heavy is imported when a command runs. */
export const trained: readonly TrainedTask[] = [restoreTask, segmentTask, classifyTask, textTask];
