import { join } from 'node:path';
import type { Command } from 'commander';
import { report, wantsJson, withOptions } from '../../scripts/cli/cli.ts';
import { option, trainOptions, whole } from '../../scripts/cli/options.ts';
import {
  findPictures,
  forEachPicture,
  noteSkipped,
  openRunner,
  type PictureOptions,
  pictureOptions,
  reportFailures,
} from '../../scripts/cli/pictures.ts';
import type { TrainedTask } from '../training.node.ts';
import type { ClassifyBody } from './contract.ts';

interface Options extends PictureOptions {
  readonly top: number;
}

/** `fettle classify IN`. */
function classifyCommand(program: Command, all: readonly TrainedTask[]): void {
  const command = program
    .command('classify')
    .description('the classes of a photo, or of every photo of a folder: a line for each')
    .argument('<in>', 'a picture, or a folder with its subfolders');
  withOptions(command, option('--top <n>', 'how many labels', whole(1, 100), 5), ...pictureOptions('classify')).action(
    (input: string, options: Options) => run(command, input, options, all),
  );
}

const percent = (probability: number): string => `${(100 * probability).toFixed(1)} %`;

function show(command: Command, input: string, labels: ClassifyBody['labels']): void {
  const text = labels.map(({ label, probability }) => `${label} ${percent(probability)}`).join(', ');
  report(command, { input, labels }, `${input}: ${text}`);
}

async function run(command: Command, input: string, options: Options, all: readonly TrainedTask[]): Promise<void> {
  const { root, paths, skipped } = await findPictures('classify', input);
  const items = paths.map((path) => ({ input: root === undefined ? path : join(root, path) }));
  noteSkipped(skipped);
  const runner = await openRunner((await import('./serve.node.ts')).classifyTask, options, all);
  const answers: (ClassifyBody['labels'] | undefined)[] = [];
  try {
    const silent = wantsJson(command);
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

export const classifyTask: TrainedTask = {
  name: 'classify',
  makes: 'a model that names what a photo shows',
  options: () =>
    trainOptions({
      data: 'folder of photos for each class',
      size: 'side of the photos that are served, in pixels (default: smaller ones first, then larger)',
      batch: 'photos per step',
      samples: 'photos per epoch, at least',
      workers: 'threads that decode and augment photos',
    }),
  commands: classifyCommand,
  contract: async () => (await import('./contract.ts')).classifyContract,
  load: async () => (await import('./train.node.ts')).classifyTraining,
};
