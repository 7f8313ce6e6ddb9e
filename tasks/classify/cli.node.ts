import { join } from 'node:path';
import type { Command } from 'commander';
import { parseWhole, report } from '../../scripts/cli/cli.ts';
import {
  findPictures,
  forEachPicture,
  noteLeftOut,
  openRunner,
  type PictureOptions,
  pictureOptions,
  reportFailures,
} from '../../scripts/cli/pictures.ts';
import type { ClassifyBody } from './contract.ts';

interface Options extends PictureOptions {
  readonly top: number;
}

/** `fettle classify IN`. */
export function register(program: Command): void {
  const command = program
    .command('classify')
    .description('tell what a photo, or every photo of a folder, shows: a line for each')
    .argument('<in>', 'a picture, or a folder with its subfolders')
    .option('--top <n>', 'how many labels', parseWhole('--top', 1, 100), 5);
  pictureOptions(command, 'classify').action((input: string, options: Options) => run(command, input, options));
}

const percent = (probability: number): string => `${(100 * probability).toFixed(1)} %`;

function show(command: Command, input: string, labels: ClassifyBody['labels']): void {
  const text = labels.map(({ label, probability }) => `${label} ${percent(probability)}`).join(', ');
  report(command, { input, labels }, `${input}: ${text}`);
}

async function run(command: Command, input: string, options: Options): Promise<void> {
  const { root, paths, leftOut } = await findPictures('classify', input);
  const items = paths.map((path) => ({ input: root === undefined ? path : join(root, path) }));
  noteLeftOut(leftOut);
  const runner = await openRunner('classify', options);
  const answers: (ClassifyBody['labels'] | undefined)[] = [];
  try {
    const silent = command.optsWithGlobals().json === true;
    const failed = await forEachPicture(items, runner.workers, 'classify', silent, async (item, index) => {
      answers[index] = (await runner.run(item.input, { top: options.top })).result.labels;
    });
    for (const [index, labels] of answers.entries())
      if (labels !== undefined) show(command, items[index]!.input, labels);
    reportFailures(failed);
  } finally {
    await runner.close();
  }
}
