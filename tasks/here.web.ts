import { classifyHere } from './classify/here.web.ts';
import { restoreHere } from './restore/here.web.ts';
import { segmentHere } from './segment/here.web.ts';
import { textHere } from './text/here.web.ts';

/** How each task is done in a browser. */
export const hereTasks = [restoreHere, segmentHere, classifyHere, textHere] as const;
