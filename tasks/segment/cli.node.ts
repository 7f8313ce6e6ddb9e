import { type Command, Option } from 'commander';
import { fileTasks, makeFiles, type PictureOptions, pictureOptions } from '../../scripts/cli/pictures.ts';
import { ensure, FettleError } from '../../training/core/errors.ts';
import type { SegmentQuery } from './contract.ts';

interface Options extends PictureOptions {
  readonly out?: string;
  readonly output: SegmentQuery['output'];
  readonly opacity: number;
  readonly force: boolean;
}

/** `fettle segment IN [-o OUT]`. */
export function register(program: Command): void {
  const command = program
    .command('segment')
    .description('give every pixel of a photo, or of every photo of a folder, its class')
    .argument('<in>', 'a picture, or a folder with its subfolders')
    .option(
      '-o, --out <path>',
      'file or folder (default: IN.mask.png and the like beside it, or the folder IN-segmented)',
    )
    .addOption(
      new Option('--output <what>', 'a PNG of class ids, the photo under the colours, or shares and run lengths')
        .choices(['mask', 'overlay', 'json'])
        .default('mask'),
    )
    .option('--opacity <x>', 'of the colours of an overlay, 0..1', parseShare, 0.5)
    .option('--force', 'of a folder: segment again what was made before', false);
  pictureOptions(command, 'segment').action((input: string, options: Options) => run(command, input, options));
}

function parseShare(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 1))
    throw new FettleError('bad-argument', `--opacity: expected a number 0..1, got ${text}`);
  return value;
}

/** What is added to a picture's name; never the same for two kinds of output. */
const endings = { mask: '.mask.png', overlay: '.overlay.png', json: '.json' } as const;

async function run(command: Command, input: string, options: Options): Promise<void> {
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
  await makeFiles(command, 'segment', input, tasks, options, () => ({ output, opacity }));
}
