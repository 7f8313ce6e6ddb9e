import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import type { OutputFormat, RestoreQuery } from '../../server/contract.ts';
import type { Pool } from '../../server/pool.ts';
import type { ModelVersion } from '../../server/store.ts';
import { ensure, FettleError } from '../../training/core/errors.ts';
import type { NodeDevice } from '../../training/run/ort.node.ts';
import { announceDevice, deviceOption, note, parseWhole, report } from '../cli.ts';
import { createProgress } from '../progress.ts';

interface Options {
  readonly output?: string;
  readonly scale: string;
  readonly format?: OutputFormat;
  readonly quality: number;
  readonly metadata: 'keep' | 'strip' | 'all';
  readonly model: string;
  readonly store?: string;
  readonly device: NodeDevice | 'auto';
  readonly workers?: number;
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
    .option('--model <name[@v]>', 'which model', 'restore')
    .option('--store <dir>', 'where trained models are (FETTLE_STORE, else ./fettle-models)')
    .option('--workers <n>', 'pictures restored at once', parseWhole('--workers', 1, 256))
    .option('--force', 'restore again what is there already', false);
  deviceOption(command).action((input: string, options: Options) => run(command, input, options));
}

interface Task {
  readonly input: string;
  readonly output: string;
}

interface Outcome {
  readonly restored: number;
  readonly failed: readonly { readonly name: string; readonly reason: string }[];
}

async function run(command: Command, input: string, options: Options): Promise<void> {
  const started = performance.now();
  const tasks = await tasksOf(input, options);
  const todo = options.force ? tasks : await unfinished(tasks);
  const { restored, failed } = await restoreAll(todo, options, command.optsWithGlobals().json === true);
  for (const { name, reason } of failed) note(`${name}: ${reason.replaceAll(/\s*\n\s*/g, ' ')}`);
  const skipped = tasks.length - todo.length;
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  const output = tasks.length === 1 ? { output: tasks[0]?.output } : {};
  const text = `${restored} restored, ${skipped} were there already, ${failed.length} could not be; ${seconds} s`;
  report(command, { input, ...output, restored, skipped, failed, seconds }, text);
  if (failed.length > 0) process.exitCode = 1;
}

/** Keeps every worker busy with the next task; a picture that cannot be restored does not stop the others. */
async function restoreAll(tasks: readonly Task[], options: Options, silent: boolean): Promise<Outcome> {
  if (tasks.length === 0) return { restored: 0, failed: [] };
  const { pool, version } = await openModel(options);
  const progress = createProgress('restore', { silent });
  const failed: { name: string; reason: string }[] = [];
  const queue = [...tasks];
  let done = 0;
  const work = async (): Promise<void> => {
    for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
      const name = task.input;
      await restoreOne(pool, version, task, options).catch((error: unknown) => {
        failed.push({ name, reason: error instanceof Error ? error.message : String(error) });
      });
      progress.update(++done, tasks.length);
    }
  };
  await Promise.all(Array.from({ length: pool.size }, work));
  progress.stop();
  await pool.close();
  return { restored: tasks.length - failed.length, failed };
}

/** The model in worker threads, as the server has it. */
async function openModel(options: Options): Promise<{ readonly pool: Pool; readonly version: ModelVersion }> {
  const [{ createPool }, { keyOf, workerModel }, { openStore }, { storeDirOf, zooDir }] = await Promise.all([
    import('../../server/pool.ts'),
    import('../../server/host.ts'),
    import('../../server/store.ts'),
    import('../../server/paths.ts'),
  ]);
  const store = openStore({ zooDir, storeDir: storeDirOf(options.store) });
  const version = await store.resolve(options.model);
  ensure(version.config.task === 'restore', 'bad-argument', () => {
    return `--model: expected a restore model, got ${keyOf(version)} for ${version.config.task}`;
  });
  const device = await announceDevice(options.device);
  const workers = options.workers === undefined ? {} : { workers: options.workers };
  const log = { warn: (details: object, message: string) => note(`${message}: ${JSON.stringify(details)}`) };
  const pool = createPool({ device, log, ...workers });
  try {
    await pool.load(workerModel(version, await store.read(version, 'model.onnx')));
    return { pool, version };
  } catch (error) {
    await pool.close();
    throw error;
  }
}

async function restoreOne(pool: Pool, version: ModelVersion, task: Task, options: Options): Promise<void> {
  const [{ runPicture }, { writeAtomic }] = await Promise.all([
    import('../../server/pictures.ts'),
    import('../../server/files.ts'),
  ]);
  const { scale, quality, metadata } = options;
  const query = { scale: Number(scale) as RestoreQuery['scale'], format: formatOf(task.output), quality, metadata };
  const request = { task: 'restore', bytes: await readFile(task.input), query } as const;
  const { result } = await runPicture(pool, () => version, request);
  await mkdir(dirname(task.output), { recursive: true });
  await writeAtomic(task.output, result.file);
}

const pictures = /\.(jpe?g|png|webp|gif|tiff?|avif|heic|heif|bmp)$/i;

async function tasksOf(input: string, options: Options): Promise<Task[]> {
  const found = await stat(input).catch(() => undefined);
  if (found === undefined) throw new FettleError('not-found', `restore: expected a file or a folder, got ${input}`);
  if (!found.isDirectory()) return [{ input, output: await outputFile(input, options) }];
  const output = options.output ?? `${resolve(input)}-restored`;
  const inside = !relative(resolve(input), resolve(output)).startsWith('..');
  ensure(!inside, 'bad-argument', () => `restore: expected an output folder outside of ${input}, got ${output}`);
  const entries = await readdir(input, { recursive: true, withFileTypes: true });
  const files = entries.filter((one) => one.isFile() && pictures.test(one.name));
  const paths = files.map((one) => relative(input, join(one.parentPath, one.name))).sort();
  return paths.map((path) => ({ input: join(input, path), output: join(output, withFormat(path, options.format)) }));
}

async function outputFile(input: string, { output, format }: Options): Promise<string> {
  const name = withFormat(basename(input), format);
  if (output === undefined) return join(dirname(input), `${basename(name, extname(name))}.restored${extname(name)}`);
  const isFolder = (await stat(output).catch(() => undefined))?.isDirectory() === true;
  if (isFolder) return join(output, name);
  const made = formatOf(output);
  ensure(
    format === undefined || format === made,
    'bad-argument',
    () => `--format: expected ${made} for ${output}, got ${format}`,
  );
  return output;
}

const extensions: Readonly<Record<OutputFormat, RegExp>> = { jpeg: /\.jpe?g$/i, png: /\.png$/i, webp: /\.webp$/i };

/** What the file's name says that it will hold. */
function formatOf(path: string): OutputFormat {
  const formats = Object.keys(extensions) as OutputFormat[];
  const format = formats.find((one) => extensions[one].test(path));
  ensure(format !== undefined, 'bad-argument', () => `--output: expected a name in .jpg, .png or .webp, got ${path}`);
  return format;
}

/** photo.jpg stays where that is the format; otherwise the format's extension is added, so that no two inputs meet. */
function withFormat(path: string, format: OutputFormat | undefined): string {
  const wanted = format === undefined ? Object.values(extensions) : [extensions[format]];
  if (wanted.some((extension) => extension.test(path))) return path;
  return `${path}.${format === 'jpeg' ? 'jpg' : (format ?? 'png')}`;
}

/** Those without an output that is at least as new as the input. */
async function unfinished(tasks: readonly Task[]): Promise<Task[]> {
  const checked = await Promise.all(
    tasks.map(async (task) => {
      const [input, output] = await Promise.all([stat(task.input), stat(task.output).catch(() => undefined)]);
      return output !== undefined && output.mtimeMs >= input.mtimeMs ? undefined : task;
    }),
  );
  return checked.filter((task) => task !== undefined);
}
