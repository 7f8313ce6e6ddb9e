import { mkdir, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import type { PictureAnswer } from '../../server/serve/task.ts';
import type { ModelVersion } from '../../server/store/store.ts';
import type { AskedOf, PictureTask, ResultOf } from '../../tasks/served.ts';
import { ensure, FettleError, messageOf } from '../../training/core/errors.ts';
import type { NodeDevice } from '../../training/run/ort.node.ts';
import { announceDevice, deviceOption, note, parseWhole, report } from './cli.ts';
import { createProgress } from './progress.ts';

// What the commands that take a picture, or a folder of them, have in common.

export interface PictureOptions {
  readonly model: string;
  readonly store?: string;
  readonly device: NodeDevice | 'auto';
  readonly workers?: number;
}

/** Adds the options of every command that takes pictures. */
export function pictureOptions(command: Command, task: PictureTask): Command {
  command
    .option('--model <name[@v]>', 'which model', task)
    .option('--store <dir>', 'where trained models are (FETTLE_STORE, else ./fettle-models)')
    .option('--workers <n>', 'pictures worked on at once', parseWhole('--workers', 1, 256));
  return deviceOption(command);
}

export interface Failure {
  readonly name: string;
  readonly reason: string;
}

/** One picture after the other: the way of the server, with a model that stays loaded. */
export interface PictureRunner<T extends PictureTask> {
  readonly workers: number;
  run(path: string, query: AskedOf<T>): Promise<PictureAnswer<ResultOf<T>>>;
  close(): Promise<void>;
}

/** Where there is no such model, how to make one. */
function withWayOut(error: unknown, task: PictureTask): unknown {
  if (!(error instanceof FettleError) || error.code !== 'not-found') return error;
  const from = task === 'segment' ? ' --from none' : ''; // the others start from what there is
  return new FettleError('not-found', `${error.message}; fettle retrain ${task} --data FOLDER${from} makes one`, {
    cause: error,
  });
}

/** Loads a model in worker threads, as the server has it. */
export async function openRunner<T extends PictureTask>(task: T, options: PictureOptions): Promise<PictureRunner<T>> {
  const [{ createPicturePool, keyOf, pictureModel, runPicture }, { openStore }, { storeDirOf, zooDir }, { rowOf }] =
    await Promise.all([
      import('../../server/serve/pictures.ts'),
      import('../../server/store/store.ts'),
      import('../../server/store/paths.ts'),
      import('../../tasks/served.ts'),
    ]);
  const row = rowOf(task);
  const store = openStore({ zooDir, storeDir: storeDirOf(options.store) });
  const version = await store.resolve(options.model).catch((error: unknown) => Promise.reject(withWayOut(error, task)));
  ensure(version.config.task === task, 'bad-argument', () => {
    return `--model: expected a ${task} model, got ${keyOf(version)} for ${version.config.task}`;
  });
  const device = await announceDevice(options.device);
  const workers = options.workers === undefined ? {} : { workers: options.workers };
  const log = { warn: (details: object, message: string) => note(`${message}: ${JSON.stringify(details)}`) };
  const pool = createPicturePool({ device, log, ...workers });
  try {
    await pool.load(pictureModel(row.contract, version, await store.read(version, 'model.onnx')));
  } catch (error) {
    await pool.close();
    throw error;
  }
  const loaded = (): ModelVersion => version;
  return {
    workers: pool.size,
    run: async (path, query) => runPicture(pool, row, loaded, { bytes: await readFile(path), query }),
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

/** Says on stderr what failed, one line each, and makes the exit code 1. */
export function reportFailures(failed: readonly Failure[]): void {
  for (const { name, reason } of failed) note(`${name}: ${reason.replaceAll(/\s*\n\s*/g, ' ')}`);
  if (failed.length > 0) process.exitCode = 1;
}

const pictures = /\.(jpe?g|png|webp|gif|tiff?|avif|heic|heif|bmp)$/i;

/** What our commands write beside a photo, by default; `photo` is that photo's name, of restored ones without its ending. */
const results = {
  drawn: /^(?<photo>.+)\.(mask|overlay)\.png$/i,
  restored: /^(?<photo>.+)\.restored\.(jpe?g|png|webp)$/i,
} as const;

/**
 * Those that are no results of an earlier run: a mask or overlay beside its photo is no photo; a restored one beside its original is,
 * but not to be restored again.
 */
function withoutResults(task: PictureTask, paths: readonly string[]): string[] {
  const photos = new Set(paths.flatMap((path) => [path, path.slice(0, -extname(path).length)]));
  const isResult = (path: string, kind: RegExp): boolean => photos.has(kind.exec(path)?.groups?.photo ?? '');
  return paths.filter(
    (path) => !isResult(path, results.drawn) && !(task === 'restore' && isResult(path, results.restored)),
  );
}

/** The pictures (and links to some) that are meant: the file itself with `root` undefined, or all of a folder and its subfolders. */
export async function findPictures(
  task: PictureTask,
  input: string,
): Promise<{ readonly root: string | undefined; readonly paths: readonly string[]; readonly leftOut: number }> {
  const found = await stat(input).catch(() => undefined);
  if (found === undefined) throw new FettleError('not-found', `${task}: expected a file or a folder, got ${input}`);
  if (!found.isDirectory()) return { root: undefined, paths: [input], leftOut: 0 };
  const entries = await readdir(input, { recursive: true, withFileTypes: true });
  const files = entries.filter((one) => (one.isFile() || one.isSymbolicLink()) && pictures.test(one.name));
  const all = files.map((one) => relative(input, join(one.parentPath, one.name))).sort();
  const paths = withoutResults(task, all);
  ensure(paths.length > 0, 'not-found', () => `${task}: expected pictures in the folder ${input}, found none`);
  return { root: input, paths, leftOut: all.length - paths.length };
}

/** Says on stderr that not every picture of a folder is worked on. */
export const noteLeftOut = (count: number): void => {
  if (count > 0) note(`results of earlier runs left out: ${count}`);
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

/** How a command names what it makes. */
export interface OutputNames {
  /** Of the folder beside the input's, when none is given: `restored` makes IN-restored. */
  readonly folder: string;
  /** A picture's name inside a folder of outputs. */
  readonly inFolder: (name: string) => string;
  /** A picture's name beside it. */
  readonly beside: (name: string) => string;
  /** Throws where a name that was given does not fit. */
  readonly check: (output: string) => void;
}

/** Which files are to be made. */
export async function fileTasks(
  task: PictureTask,
  input: string,
  out: string | undefined,
  names: OutputNames,
): Promise<FileTasks> {
  const { root, paths, leftOut } = await findPictures(task, input);
  const tasks =
    root === undefined
      ? [{ input, output: await outputFile(input, out, names) }]
      : folderTasks(task, root, paths, out, names);
  await Promise.all(tasks.map((one) => keepsInput(task, one)));
  noteLeftOut(leftOut);
  return { tasks, single: root === undefined };
}

function folderTasks(
  task: PictureTask,
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
async function keepsInput(task: PictureTask, { input, output }: FileTask): Promise<void> {
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
 * Makes a file of each picture and reports. Of a folder, those with an output that is at least as new are passed over unless `force` says
 * otherwise, so that a run goes on where it stopped; a single picture is always done, for another model or option makes another file.
 */
export async function makeFiles<T extends 'restore' | 'segment'>(
  command: Command,
  task: T,
  input: string,
  { tasks, single }: FileTasks,
  options: PictureOptions & { readonly force: boolean },
  queryOf: (task: FileTask) => AskedOf<T>,
): Promise<void> {
  const started = performance.now();
  const word = task === 'restore' ? 'restored' : 'segmented';
  const todo = options.force || single ? tasks : await unfinished(tasks);
  const failed = todo.length === 0 ? [] : await makeAll(command, task, todo, options, queryOf);
  reportFailures(failed);
  const [made, skipped] = [todo.length - failed.length, tasks.length - todo.length];
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  const output = tasks.length === 1 ? { output: tasks[0]?.output } : {};
  const before = skipped === 0 ? '' : ', whatever the options were then; --force makes them anew';
  const text = `${made} ${word}, ${failed.length} could not be, ${skipped} made before${before}; ${seconds} s`;
  report(command, { input, ...output, [word]: made, skipped, failed, seconds }, text);
}

async function makeAll<T extends 'restore' | 'segment'>(
  command: Command,
  task: T,
  todo: readonly FileTask[],
  options: PictureOptions,
  queryOf: (task: FileTask) => AskedOf<T>,
): Promise<Failure[]> {
  const { writeDurably } = await import('../../training/core/durable.node.ts');
  const runner = await openRunner(task, options);
  const silent = command.optsWithGlobals().json === true;
  try {
    return await forEachPicture(todo, runner.workers, task, silent, async (item) => {
      const { result } = await runner.run(item.input, queryOf(item));
      await mkdir(dirname(item.output), { recursive: true });
      await writeDurably(item.output, result.file);
    });
  } finally {
    await runner.close();
  }
}
