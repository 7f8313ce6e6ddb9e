import type { Command } from 'commander';
import { withOptions } from '../../scripts/cli/cli.ts';
import { choice, option, trainOptions, unit } from '../../scripts/cli/options.ts';
import { fileTasks, makeFiles, type PictureOptions, pictureOptions } from '../../scripts/cli/pictures.ts';
import { ensure } from '../../training/core/errors.ts';
import type { TrainedTask } from '../training.node.ts';
import type { SegmentQuery } from './contract.ts';

interface Options extends PictureOptions {
  readonly out?: string;
  readonly output: SegmentQuery['output'];
  readonly opacity: number;
  readonly force?: boolean;
}

/** `fettle segment IN [-o OUT]`. */
function segmentCommand(program: Command, all: readonly TrainedTask[]): void {
  const command = program
    .command('segment')
    .description('give every pixel of a photo, or of every photo of a folder, its class')
    .argument('<in>', 'a picture, or a folder with its subfolders');
  withOptions(
    command,
    option(
      '-o, --out <path>',
      'file or folder (default: IN.mask.png and the like beside it, or the folder IN-segmented)',
    ),
    choice(
      '--output <what>',
      'a PNG of class ids, the photo under the colours, or shares and run lengths',
      ['mask', 'overlay', 'json'],
      'mask',
    ),
    option('--opacity <x>', 'of the colours of an overlay, 0..1', unit, 0.5),
    option('--force', 'of a folder: segment again what was segmented before'),
    ...pictureOptions('segment'),
  ).action((input: string, options: Options) => run(command, input, options, all));
}

/** What is added to a picture's name; never the same for two kinds of output. */
const endings = { mask: '.mask.png', overlay: '.overlay.png', json: '.json' } as const;

async function run(command: Command, input: string, options: Options, all: readonly TrainedTask[]): Promise<void> {
  const { output, opacity } = options;
  const named = (name: string): string => name + endings[output];
  const ending = output === 'json' ? '.json' : '.png';
  const tasks = await fileTasks('segment', input, options.out, {
    folder: 'segmented',
    inFolder: named,
    beside: named,
    check: (path) =>
      ensure(path.toLowerCase().endsWith(ending), 'bad-argument', () => {
        return `--out: expected a name in ${ending} for ${output}, got ${path}`;
      }),
  });
  const { segmentTask: row } = await import('./serve.node.ts');
  const queryOf = () => ({ output, opacity });
  await makeFiles(command, { row, did: 'segmented', options, queryOf, all }, input, tasks);
}

const lookOptions = [
  option('--any-way-up', 'photos have no up and down, as seen from above or under a microscope'),
  option('--any-colors', 'colours do not distinguish the classes, only form and texture do'),
];
const startOption = option('--from <file>', 'weights to start from: the best.safetensors of a run, or a model.onnx');

export const segmentTask: TrainedTask = {
  name: 'segment',
  makes: 'a model that gives every pixel of a photo a class',
  options: (verb) => [
    ...trainOptions({
      data: 'folder with images, masks and classes.json, or with annotations.json of COCO',
      size: 'short side of the last photos in pixels (default: smaller ones first, then larger)',
      batch: 'photos per step',
      workers: 'threads that decode and augment photos',
    }),
    option(
      '--class-weights <power>',
      'weight of rare classes, (median share / share)^power: 0 all alike, 1 in full',
      unit,
    ),
    ...(verb === 'retrain' ? lookOptions : [startOption]),
  ],
  commands: segmentCommand,
  contract: async () => (await import('./contract.ts')).segmentContract,
  load: async () => (await import('./train.node.ts')).segmentTraining,
};
