import { servedTasks as own } from '../../../tasks/served.ts';
import { brightnessTask } from './serve.node.ts';

/** The table with one more row. */
export const servedTasks = [...own, brightnessTask];
