import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

/** The repository (or package) root, seen from dist/scripts/repo/. */
export const rootDir = join(import.meta.dirname, '..', '..', '..');

/** Folders that hold our TypeScript. */
export const sourceFolders = [
  'training',
  'models',
  'tasks',
  'server',
  'client',
  'scripts',
  'examples',
  'test',
] as const;

/** One TypeScript file: `path` from the root with `/`, `text` as it stands. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

const skipped = new Set(['node_modules', 'dist', 'zoo', 'fixtures', '.git']);

/** Paths under `folder` (from `root`, with `/`) that end in one of `endings`, sorted; build output and data are omitted. */
export function listFiles(root: string, folder: string, endings: readonly string[]): string[] {
  const found: string[] = [];
  const walk = (dir: string): void => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      const path = join(dir, entry.name);
      if (entry.isDirectory() && !skipped.has(entry.name)) walk(path);
      else if (entry.isFile() && endings.some((ending) => entry.name.endsWith(ending))) found.push(path);
    }
  };
  walk(join(root, folder));
  return found.map((path) => relative(root, path).split(sep).join('/')).sort();
}

/** Every TypeScript file of the project. */
export function readSources(root: string = rootDir): SourceFile[] {
  const paths = sourceFolders.flatMap((folder) => listFiles(root, folder, ['.ts']));
  return paths.map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}
