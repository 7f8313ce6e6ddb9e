import { join } from 'node:path';
import type { Command } from 'commander';
import { FettleError } from '../../../training/core/errors.ts';
import { freeFolder, openStores, type RetrainOptions, type RetrainPlace } from '../origin.ts';
import type { RetrainSegmentOptions } from './retrain-segment.ts';
import type { RetrainTextOptions } from './retrain-text.ts';
import { textOptions } from './text-options.ts';
import { trainOptions } from './train.ts';

type AllOptions = RetrainOptions & RetrainTextOptions & RetrainSegmentOptions;
type Retrain = (command: Command, options: AllOptions, place: RetrainPlace) => Promise<void>;

/** What each task does; loaded when it is asked for. */
const tasks: Readonly<Record<string, () => Promise<Retrain>>> = {
  restore: async () => (await import('./retrain-restore.ts')).retrainRestore,
  segment: async () => (await import('./retrain-segment.ts')).retrainSegment,
  classify: async () => (await import('./retrain-classify.ts')).retrainClassify,
  text: async () => (await import('./retrain-text.ts')).retrainText,
};

/** `fettle retrain TASK`. */
export function register(program: Command): void {
  const names = Object.keys(tasks).join(', ');
  const command = program
    .command('retrain')
    .description(
      'fine-tune a served model on your own photos, masks, classes or posts, compare, register the next version and serve it',
    )
    .argument('<task>', names);
  textOptions(trainOptions(command))
    .option('--column <name>', 'of text: where the text is in a table of posts (default: text, full_text, content …)')
    .option('--any-way-up', 'of segment: photos have no up and down, as from above or under a microscope')
    .option('--any-colors', 'of segment: colours say nothing about the classes, only form and texture do')
    .option('--until <date>', 'of text: posts of this day and later are left out')
    .option(
      '--from <name[@v]>',
      'the model to start from (default: TASK), or a model.onnx; of segment and classify also none (random weights)',
    )
    .option('--store <dir>', 'where trained models are (FETTLE_STORE, else ./fettle-models)')
    .option(
      '--out <dir>',
      'folder of the run: checkpoints, log.csv, pictures (default: runs/retrain-NAME-VERSION, numbered)',
    )
    .option('--keep-active', 'register the new version, but do not serve it', false);
  command.action(async (task: string, given: Omit<AllOptions, 'from'> & { readonly from?: string }) => {
    const load = Object.hasOwn(tasks, task) ? tasks[task] : undefined;
    if (load === undefined) throw new FettleError('unsupported', `retrain: expected one of ${names}, got ${task}`);
    const options = { from: task, ...given };
    const folder = async (startedFrom: string): Promise<string> => {
      const base = `retrain-${startedFrom.replaceAll(/[^\w-]+/g, '-')}`;
      return options.out ?? freeFolder(join('runs', base), options.resume === true);
    };
    await (await load())(command, options, { store: await openStores(options.store), folder });
  });
}
