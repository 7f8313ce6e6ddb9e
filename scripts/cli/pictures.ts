import { mkdir, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';
import type { Command, Option } from 'commander';
import type { FileResult, PictureAnswer, PictureResult, ServedPictureTask } from '../../server/serve/task.ts';
import type { ModelVersion } from '../../server/store/store.ts';
import { imagesOf, type QueryOf, type TaskContract } from '../../tasks/task.ts';
import type { TrainedTask } from '../../tasks/training.node.ts';
import { ensure, FettleError, messageOf } from '../../training/core/errors.ts';
import type { NodeDevice } from '../../training/run/ort.node.ts';
import { announceDevice, note, report, wantsJson } from './cli.ts';
import { deviceOption, option, storeOption, whole } from './options.ts';
import { createProgress } from './progress.ts';
import { openStores, resolveModel } from './stores.ts';

// What the commands that take a picture, or a folder of them, have in common.

export interface PictureOptions {
  readonly model: string;
  readonly store?: string;
  readonly device: NodeDevice | 'auto';
  readonly workers?: number;
}

/** The options of every command that takes pictures. */
export const pictureOptions = (task: string): readonly Option[] => [
  option('--model <name[@v]>', 'the model', undefined, task),
  storeOption(),
  option('--workers <n>', 'pictures worked on at once', whole(1, 256)),
  deviceOption(),
];

export interface Failure {
  readonly name: string;
  readonly reason: string;
}

/** One picture after the other: the way of the server, with a model that stays loaded. */
export interface PictureRunner<C extends TaskContract, Result extends PictureResult> {
  readonly workers: number;
  run(path: string, query: QueryOf<C>): Promise<PictureAnswer<Result>>;
  close(): Promise<void>;
}

/** Loads a model in worker threads, as the server has it. */
export async function openRunner<C extends TaskContract, Result extends PictureResult>(
  row: ServedPictureTask<C, Result>,
  options: PictureOptions,
  tasks: readonly TrainedTask[],
): Promise<PictureRunner<C, Result>> {
  const { createPicturePool, pictureModel, runPicture } = await import('../../server/serve/pictures.ts');
  const store = await openStores(options.store, tasks);
  const version = await resolveModel(store, options.model, row.contract.name, '--model');
  const device = await announceDevice(options.device);
  const workers = options.workers === undefined ? {} : { workers: options.workers };
  const log = { warn: (details: object, message: string) => note(`${message}: ${JSON.stringify(details)}`) };
  const { served } = tasks.find(({ name }) => name === row.contract.name) ?? {};
  const pool = createPicturePool({ device, log, tasks: served, ...workers });
  try {
    await pool.load(pictureModel(row.contract, version, await store.read(version, 'model.onnx')));
  } catch (error) {
    await pool.close();
    throw error;
  }
  const loaded = (): ModelVersion => version;
  const image = imagesOf(row.contract)[0]?.name ?? '';
  return {
    workers: pool.size,
    run: async (path, query) => runPicture(pool, row, loaded, { files: { [image]: await readFile(path) }, query }),
    close: () => pool.close(),
  };
}

/** Keeps every worker busy with the next item; one that fails does not stop the others. Returns what failed. */
export async function forEachPicture<I extends { readonly input: string }>(
  items: readonly I[],
  workers: number,
  label: string,
  silent: boolean,
  work: (item: I, index: number) => Promise<void>,
): Promise<Failure[]> {
  const progress = createProgress(label, { silent });
  const failed: Failure[] = [];
  const queue = [...items.entries()];
  let done = 0;
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [index, item] = next;
      await work(item, index).catch((error: unknown) => {
        failed.push({ name: item.input, reason: messageOf(error) });
      });
      progress.update(++done, items.length);
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
  progress.stop();
  return failed;
}

/** Reports on stderr what failed, one line each, and makes the exit code 1. */
export function reportFailures(failed: readonly Failure[]): void {
  for (const { name, reason } of failed) note(`${name}: ${reason.replaceAll(/\s*\n\s*/g, ' ')}`);
  if (failed.length > 0) process.exitCode = 1;
}

const pictures = /\.(jpe?g|png|webp|gif|tiff?|avif|heic|heif|bmp)$/i;

/** What commands draw beside a photo, which is no photo itself; `photo` is that photo's name. */
const drawn = /^(?<photo>.+)\.(mask|overlay)\.png$/i;

/** Those that are no results of an earlier run: nothing drawn beside its photo, nor what the command itself makes. */
function withoutResults(paths: readonly string[], made: RegExp | undefined): string[] {
  const photos = new Set(paths.flatMap((path) => [path, path.slice(0, -extname(path).length)]));
  const isResult = (path: string, kind: RegExp): boolean => photos.has(kind.exec(path)?.groups?.photo ?? '');
  return paths.filter((path) => !isResult(path, drawn) && !(made && isResult(path, made)));
}

/**
 * The pictures (and links to some) that are meant: the file itself with `root` undefined, or all of a folder and its subfolders, but for
 * results of earlier runs, of which `made` is the pattern.
 */
export async function findPictures(
  task: string,
  input: string,
  made?: RegExp,
): Promise<{ readonly root: string | undefined; readonly paths: readonly string[]; readonly skipped: number }> {
  const found = await stat(input).catch(() => undefined);
  if (found === undefined) throw new FettleError('not-found', `${task}: expected a file or a folder, got ${input}`);
  if (!found.isDirectory()) return { root: undefined, paths: [input], skipped: 0 };
  const entries = await readdir(input, { recursive: true, withFileTypes: true });
  const files = entries.filter((one) => (one.isFile() || one.isSymbolicLink()) && pictures.test(one.name));
  const all = files.map((one) => relative(input, join(one.parentPath, one.name))).sort();
  const paths = withoutResults(all, made);
  ensure(paths.length > 0, 'not-found', () => `${task}: expected pictures in the folder ${input}, found none`);
  return { root: input, paths, skipped: all.length - paths.length };
}

/** Reports on stderr that not every picture of a folder is worked on. */
export const noteSkipped = (count: number): void => {
  if (count > 0) note(`results of earlier runs skipped: ${count}`);
};

/** A picture and the file that is made of it. */
export interface FileTask {
  readonly input: string;
  readonly output: string;
}

/** What is to be made. */
export interface FileTasks {
  readonly tasks: readonly FileTask[];
  /** Of one picture that was named, not of a folder. */
  readonly single: boolean;
}

/** How a command names what it makes, and recognises it. */
export interface OutputNames {
  /** Of the folder beside the input's, when none is given: `restored` makes IN-restored. */
  readonly folder: string;
  /** A picture's name inside a folder of outputs. */
  readonly inFolder: (name: string) => string;
  /** A picture's name beside it. */
  readonly beside: (name: string) => string;
  /** Throws where a name that was given does not fit. */
  readonly check: (output: string) => void;
  /** Of results that are pictures like the photo, and not to be worked on again; `photo` is the photo's name without its ending. */
  readonly made?: RegExp;
}

/** Which files are to be made. */
export async function fileTasks(
  task: string,
  input: string,
  out: string | undefined,
  names: OutputNames,
): Promise<FileTasks> {
  const { root, paths, skipped } = await findPictures(task, input, names.made);
  const tasks =
    root === undefined
      ? [{ input, output: await outputFile(input, out, names) }]
      : folderTasks(task, root, paths, out, names);
  await Promise.all(tasks.map((one) => keepsInput(task, one)));
  noteSkipped(skipped);
  return { tasks, single: root === undefined };
}

function folderTasks(
  task: string,
  root: string,
  paths: readonly string[],
  out: string | undefined,
  names: OutputNames,
): FileTask[] {
  const output = out ?? `${resolve(root)}-${names.folder}`;
  const inside = !relative(resolve(root), resolve(output)).startsWith('..');
  ensure(!inside, 'bad-argument', () => `${task}: expected an output folder outside of ${root}, got ${output}`);
  return paths.map((path) => ({ input: join(root, path), output: join(output, names.inFolder(path)) }));
}

/** Throws where the output would replace the picture that it is made of, under whatever name. */
async function keepsInput(task: string, { input, output }: FileTask): Promise<void> {
  // A file that is not there (yet) is no other's.
  const [from, to] = await Promise.all([input, output].map((path) => realpath(path).catch(() => undefined)));
  ensure(from === undefined || from !== to, 'bad-argument', () => {
    return `${task}: expected an output other than the photo ${input}, got ${output}; name another file`;
  });
}

async function outputFile(input: string, out: string | undefined, names: OutputNames): Promise<string> {
  const name = basename(input);
  if (out === undefined) return join(dirname(input), names.beside(name));
  const isFolder = (await stat(out).catch(() => undefined))?.isDirectory() === true;
  if (isFolder) return join(out, names.inFolder(name));
  names.check(out);
  return out;
}

/** What is to be done with pictures. */
export interface FilesJob<C extends TaskContract> {
  readonly row: ServedPictureTask<C, FileResult>;
  /** For the report: `restored`. */
  readonly did: string;
  readonly options: PictureOptions & { readonly force?: boolean };
  readonly queryOf: (task: FileTask) => QueryOf<C>;
  /** Every task of the command line. */
  readonly all: readonly TrainedTask[];
}

/** Those without an output that is at least as new as the input. */
async function unfinished(tasks: readonly FileTask[]): Promise<FileTask[]> {
  const checked = await Promise.all(
    tasks.map(async (task) => {
      // A link to nothing is left to be reported with what else cannot be read.
      const [input, output] = await Promise.all(
        [task.input, task.output].map((path) => stat(path).catch(() => undefined)),
      );
      return input && output && output.mtimeMs >= input.mtimeMs ? undefined : task;
    }),
  );
  return checked.filter((task) => task !== undefined);
}

/**
 * Makes a file of each picture and reports how many, after the word `did`: `restored`. Of a folder, those with an output that is at least
 * as new are skipped without `force`, so that a run continues where it stopped; a single picture is always done, for another model or
 * option makes another file.
 */
export async function makeFiles<C extends TaskContract>(
  command: Command,
  { row, did, options, queryOf, all }: FilesJob<C>,
  input: string,
  { tasks, single }: FileTasks,
): Promise<void> {
  const started = performance.now();
  const todo = options.force || single ? tasks : await unfinished(tasks);
  const failed = todo.length === 0 ? [] : await makeAll(command, todo, { row, options, queryOf, all });
  reportFailures(failed);
  const [made, skipped] = [todo.length - failed.length, tasks.length - todo.length];
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  const output = tasks.length === 1 ? { output: tasks[0]?.output } : {};
  const before = skipped === 0 ? '' : ', whatever the options were then; --force makes them anew';
  const text = `${made} ${did}, ${failed.length} could not be, ${skipped} made before${before}; ${seconds} s`;
  report(command, { input, ...output, [did]: made, skipped, failed, seconds }, text);
}

async function makeAll<C extends TaskContract>(
  command: Command,
  todo: readonly FileTask[],
  { row, options, queryOf, all }: Omit<FilesJob<C>, 'did'>,
): Promise<Failure[]> {
  const { writeDurably } = await import('../../training/core/durable.node.ts');
  const runner = await openRunner(row, options, all);
  const silent = wantsJson(command);
  try {
    return await forEachPicture(todo, runner.workers, row.contract.name, silent, async (item) => {
      const { result } = await runner.run(item.input, queryOf(item));
      await mkdir(dirname(item.output), { recursive: true });
      await writeDurably(item.output, result.file);
    });
  } finally {
    await runner.close();
  }
}
