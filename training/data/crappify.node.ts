import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { isAbsolute, join, relative } from 'node:path';
import { ensure } from '../core/errors.ts';
import { createWorkerPool } from '../core/worker-pool.node.ts';
import { parseDamages } from '../pictures/damage/registry.node.ts';
import { type ImageItem, listImages, withoutExtension } from '../pictures/items.node.ts';
import type { CrappifyTask, CrappifyThreadData } from './crappify-worker.node.ts';
import type { Failure } from './fill.ts';

export interface CrappifyOptions {
  /** Folder of pictures, read with its subfolders. */
  readonly input: string;
  /** Folder for the damaged copies: the same relative names, as `.jpg`. Outside of `input`. */
  readonly output: string;
  /** A `--damage` list. */
  readonly damage: string;
  /** With a picture's relative name, decides all its random choices. */
  readonly seed: number;
  /** Threads; default one per core. The result does not depend on it. */
  readonly workers?: number;
  /** Called after each picture. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface CrappifyResult {
  /** Pictures damaged now. */
  readonly made: number;
  /** Pictures that an earlier run had finished. */
  readonly skipped: number;
  /** Pictures that could not be read. */
  readonly failed: readonly Failure[];
}

/** States in the output folder how its pictures were made, so that one folder never mixes two recipes. */
const RECIPE_FILE = 'crappify.json';

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** crappify: damages every picture of a folder on all cores; run again, it continues where it was stopped. */
export async function crappify(options: CrappifyOptions): Promise<CrappifyResult> {
  const { output, damage, seed, workers = availableParallelism() } = options;
  parseDamages(damage);
  const tasks = await planTasks(options);
  await claimOutput(output, { damage, seed });
  const todo: CrappifyTask[] = [];
  for (const task of tasks) if (!(await exists(task.outputPath))) todo.push(task);
  const failed = await runTasks(todo, options, Math.min(workers, todo.length), tasks.length);
  return { made: todo.length - failed.length, skipped: tasks.length - todo.length, failed };
}

/** Which file becomes which; throws if two would become the same, or the output lies inside the input. */
async function planTasks({ input, output }: CrappifyOptions): Promise<CrappifyTask[]> {
  const inside = !/^\.\.([/\\]|$)/.test(relative(input, output)) && !isAbsolute(relative(input, output));
  ensure(!inside, 'bad-argument', () => {
    return `crappify: expected an output folder outside of ${input}, got ${output}; its pictures would be damaged again`;
  });
  const items = await listImages(input);
  ensure(items.length > 0, 'bad-data', () => `crappify: expected pictures in ${input}, got none; check the folder`);
  const byOutput = new Map<string, ImageItem>();
  return items.map((item) => {
    const outputName = `${withoutExtension(item.name)}.jpg`;
    const other = byOutput.get(outputName);
    ensure(other === undefined, 'bad-data', () => {
      return `crappify: expected names that differ without their extensions, got ${other?.name} and ${item.name}; rename one`;
    });
    byOutput.set(outputName, item);
    return { name: item.name, path: item.path, outputPath: join(output, outputName) };
  });
}

/** Writes the recipe into the output folder, or throws if the folder holds pictures of another one. */
async function claimOutput(output: string, recipe: CrappifyThreadData): Promise<void> {
  const path = join(output, RECIPE_FILE);
  const text = `${JSON.stringify(recipe)}\n`;
  const found = await readFile(path, 'utf8').catch(() => undefined);
  ensure(found === undefined || found === text, 'exists', () => {
    return `crappify: expected ${output} to be empty or made with ${text.trim()}, got ${found?.trim()}; use another folder`;
  });
  if (found !== undefined) return;
  await mkdir(output, { recursive: true });
  await writeFile(`${path}.part`, text);
  await rename(`${path}.part`, path);
}

/** Runs the tasks on `workers` threads; returns the failures in the order of the names. */
async function runTasks(
  todo: readonly CrappifyTask[],
  { damage, seed, onProgress }: CrappifyOptions,
  workers: number,
  total: number,
): Promise<Failure[]> {
  const url = new URL('./crappify-worker.node.js', import.meta.url);
  const threadData: CrappifyThreadData = { damage, seed };
  const pool = createWorkerPool<CrappifyTask, string | undefined>(url, workers, threadData);
  let done = total - todo.length;
  try {
    const reasons = await Promise.all(
      todo.map(async (task) => {
        const reason = await pool.run(task);
        onProgress?.(++done, total);
        return reason;
      }),
    );
    return todo.flatMap(({ name }, i) => (reasons[i] === undefined ? [] : [{ name, reason: reasons[i] }]));
  } finally {
    await pool.close();
  }
}
