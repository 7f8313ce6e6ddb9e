import { basename, extname } from 'node:path';
import type { Command } from 'commander';
import { withOptions } from '../../scripts/cli/cli.ts';
import { choice, option, trainOptions, whole } from '../../scripts/cli/options.ts';
import { fileTasks, makeFiles, type PictureOptions, pictureOptions } from '../../scripts/cli/pictures.ts';
import { ensure } from '../../training/core/errors.ts';
import type { OutputFormat } from '../pictures.ts';
import type { TrainedTask } from '../training.node.ts';
import type { RestoreQuery } from './contract.ts';

interface Options extends PictureOptions {
  readonly output?: string;
  readonly scale: string;
  readonly format?: OutputFormat;
  readonly quality: number;
  readonly metadata: 'keep' | 'strip' | 'all';
  readonly force?: boolean;
}

/** `fettle restore IN [-o OUT]`. */
function restoreCommand(program: Command, all: readonly TrainedTask[]): void {
  const command = program
    .command('restore')
    .description('restore a photo, or every photo of a folder; run it again to continue where it stopped')
    .argument('<in>', 'a picture, or a folder with its subfolders');
  withOptions(
    command,
    option('-o, --output <path>', 'file or folder (default: IN.restored.EXT beside it, or the folder IN-restored)'),
    choice('--scale <n>', 'enlarge', ['1', '2', '4'], '1'),
    choice('--format <name>', 'default: as the input, else png', ['png', 'jpeg', 'webp']),
    option('--quality <n>', 'of jpeg and webp', whole(1, 100), 90),
    choice('--metadata <what>', 'keep drops the position, all keeps it', ['keep', 'strip', 'all'], 'keep'),
    option('--force', 'of a folder: restore again what was restored before'),
    ...pictureOptions('restore'),
  ).action((input: string, options: Options) => run(command, input, options, all));
}

async function run(command: Command, input: string, options: Options, all: readonly TrainedTask[]): Promise<void> {
  const { output: out, format, scale, quality, metadata } = options;
  const tasks = await fileTasks('restore', input, out, {
    folder: 'restored',
    inFolder: (name) => withFormat(name, format),
    beside: (name) => restoredName(withFormat(name, format)),
    check: (path) => checkFormat(path, format),
    made: /^(?<photo>.+)\.restored\.(jpe?g|png|webp)$/i,
  });
  const queryOf = ({ output }: { readonly output: string }): RestoreQuery => {
    return { scale: Number(scale) as RestoreQuery['scale'], format: formatOf(output), quality, metadata };
  };
  const { restoreTask: row } = await import('./serve.node.ts');
  await makeFiles(command, { row, did: 'restored', options, queryOf, all }, input, tasks);
}

/** photo.jpg -> photo.restored.jpg. */
const restoredName = (name: string): string => `${basename(name, extname(name))}.restored${extname(name)}`;

const extensions: Readonly<Record<OutputFormat, RegExp>> = { jpeg: /\.jpe?g$/i, png: /\.png$/i, webp: /\.webp$/i };

/** What the file's name states that it will hold. */
function formatOf(path: string): OutputFormat {
  const formats = Object.keys(extensions) as OutputFormat[];
  const format = formats.find((one) => extensions[one].test(path));
  ensure(format !== undefined, 'bad-argument', () => `--output: expected a name in .jpg, .png or .webp, got ${path}`);
  return format;
}

function checkFormat(path: string, format: OutputFormat | undefined): void {
  const made = formatOf(path);
  ensure(format === undefined || format === made, 'bad-argument', () => {
    return `--format: expected ${made} for ${path}, got ${format}`;
  });
}

/** photo.jpg stays where that is the format; otherwise the format's extension is added, so that no two inputs meet. */
function withFormat(path: string, format: OutputFormat | undefined): string {
  const wanted = format === undefined ? Object.values(extensions) : [extensions[format]];
  if (wanted.some((extension) => extension.test(path))) return path;
  return `${path}.${format === 'jpeg' ? 'jpg' : (format ?? 'png')}`;
}

export const restoreTask: TrainedTask = {
  name: 'restore',
  makes: 'a model that restores damaged photos',
  options: () => [
    ...trainOptions({
      data: 'folder of photos, with its subfolders',
      size: 'side of the square crops in pixels (default: smaller ones first, then larger)',
      batch: 'crops per step',
      samples: 'crops per epoch',
      workers: 'threads that decode and damage photos',
    }),
    option('--damaged <dir>', 'damaged copies of the same names; without it photos are damaged on the fly'),
    choice('--loss <name>', 'what is minimised: mean absolute or mean squared difference', ['l1', 'mse']),
  ],
  commands: restoreCommand,
  contract: async () => (await import('./contract.ts')).restoreContract,
  load: async () => (await import('./train.node.ts')).restoreTraining,
};
