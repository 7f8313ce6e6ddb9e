import type { Command } from 'commander';
import { parseWhole } from '../cli.ts';

/** Options of `train text` and `retrain text`. */
export interface TextOptions {
  readonly column?: string;
  readonly vocab?: number;
  readonly width?: number;
  readonly hidden?: number;
  readonly bptt?: number;
  readonly prompt?: string;
}

export const textOptions = (command: Command): Command =>
  command
    .option('--vocab <n>', 'of text: words at most', parseWhole('--vocab', 100, 1_000_000))
    .option('--width <n>', 'of text: numbers per word', parseWhole('--width', 4, 4096))
    .option('--hidden <n>', 'of text: numbers in the state of a layer', parseWhole('--hidden', 4, 8192))
    .option('--bptt <n>', 'of text: words per step', parseWhole('--bptt', 2, 1000))
    .option('--prompt <text>', 'of text: what the samples after each epoch begin with');
