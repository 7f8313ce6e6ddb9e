import { createHash } from 'node:crypto';
import { constants, open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { AnyConfig, configSchema } from '../../tasks/config.ts';
import { explainError } from '../../training/core/explain.ts';

/** One version on disk. */
export interface ModelVersion {
  readonly dir: string;
  readonly origin: 'zoo' | 'store';
  readonly config: AnyConfig;
}

/** In slices, because the thread that serves HTTP does this too. */
export async function sha256Of(bytes: Uint8Array): Promise<string> {
  const hash = createHash('sha256');
  for (let at = 0; at < bytes.length; at += 2 ** 20) {
    hash.update(bytes.subarray(at, at + 2 ** 20));
    await setImmediate();
  }
  return hash.digest('hex');
}

export function ignoreMissing(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
    return undefined;
  throw error;
}

export function parseJson(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch {
    return undefined;
  }
}

export async function subfolders(dir: string): Promise<string[]> {
  const found = await readdir(dir, { withFileTypes: true }).catch(ignoreMissing);
  return (found ?? []).filter((one) => one.isDirectory()).map((one) => one.name);
}

export async function versionFolders(dir: string): Promise<number[]> {
  return (await subfolders(dir)).filter((name) => /^[1-9]\d{0,8}$/.test(name)).map(Number);
}

/** The version in `dir`, or what is wrong with it. */
export async function readVersion(
  schema: ReturnType<typeof configSchema>,
  dir: string,
  origin: 'zoo' | 'store',
  name: string,
  version: number,
): Promise<ModelVersion | string> {
  const content = await readFile(join(dir, 'config.json'), 'utf8').catch(ignoreMissing);
  if (content === undefined) return 'config.json is missing';
  const value = parseJson(content);
  const parsed = schema.safeParse(value);
  if (!parsed.success) return `config.json: ${explainError(parsed.error, value)}`;
  const config = parsed.data;
  if (config.name !== name || config.version !== version) return `config.json states ${config.name}@${config.version}`;
  if (config.files['model.onnx'] === undefined) return 'config.json lists no model.onnx';
  return { dir, origin, config };
}

/** The bytes of a regular file (no link) of exactly that size, else undefined. */
export async function readRegular(path: string, sizeBytes: number): Promise<Uint8Array | undefined> {
  const file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0)).catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const found = await file.stat();
    return found.isFile() && found.size === sizeBytes ? await file.readFile() : undefined;
  } finally {
    await file.close();
  }
}
