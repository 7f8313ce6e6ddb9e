import { basename, extname } from 'node:path';
import { type Command, Option } from 'commander';
import { parseWhole } from '../../scripts/cli/cli.ts';
import { fileTasks, makeFiles, type PictureOptions, pictureOptions } from '../../scripts/cli/pictures.ts';
import { ensure } from '../../training/core/errors.ts';
import type { OutputFormat } from '../pictures.ts';
import type { RestoreQuery } from './contract.ts';

interface Options extends PictureOptions {
  readonly output?: string;
  readonly scale: string;
  readonly format?: OutputFormat;
  readonly quality: number;
  readonly metadata: 'keep' | 'strip' | 'all';
  readonly force: boolean;
}

/** `fettle restore IN [-o OUT]`. */
export function register(program: Command): void {
  const command = program
    .command('restore')
    .description('restore a photo, or every photo of a folder; run it again to go on where it stopped')
    .argument('<in>', 'a picture, or a folder with its subfolders')
    .option('-o, --output <path>', 'file or folder (default: IN.restored.EXT beside it, or the folder IN-restored)')
    .addOption(new Option('--scale <n>', 'enlarge').choices(['1', '2', '4']).default('1'))
    .addOption(new Option('--format <name>', 'default: as the input, else png').choices(['png', 'jpeg', 'webp']))
    .option('--quality <n>', 'of jpeg and webp', parseWhole('--quality', 1, 100), 90)
    .addOption(
      new Option('--metadata <what>', 'keep drops the position, all keeps it')
        .choices(['keep', 'strip', 'all'])
        .default('keep'),
    )
    .option('--force', 'of a folder: restore again what was made before', false);
  pictureOptions(command, 'restore').action((input: string, options: Options) => run(command, input, options));
}

async function run(command: Command, input: string, options: Options): Promise<void> {
  const { output: out, format, scale, quality, metadata } = options;
  const tasks = await fileTasks('restore', input, out, {
    folder: 'restored',
    inFolder: (name) => withFormat(name, format),
    beside: (name) => restoredName(withFormat(name, format)),
    check: (path) => checkFormat(path, format),
  });
  await makeFiles(command, 'restore', input, tasks, options, ({ output }) => {
    return { scale: Number(scale) as RestoreQuery['scale'], format: formatOf(output), quality, metadata };
  });
}

/** photo.jpg -> photo.restored.jpg. */
const restoredName = (name: string): string => `${basename(name, extname(name))}.restored${extname(name)}`;

const extensions: Readonly<Record<OutputFormat, RegExp>> = { jpeg: /\.jpe?g$/i, png: /\.png$/i, webp: /\.webp$/i };

/** What the file's name says that it will hold. */
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
