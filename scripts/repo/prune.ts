import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { listFiles, rootDir, sourceFolders } from './source-files.ts';

/** Built files (`.js .d.ts .js.map`) under `dist` whose TypeScript source is gone: a deleted test must not run again. */
export function staleOutputs(root: string): string[] {
  const dist = join(root, 'dist');
  const folders = sourceFolders.filter((folder) => folder !== 'client' && existsSync(join(dist, folder)));
  return folders
    .flatMap((folder) => listFiles(dist, folder, ['.js', '.d.ts', '.js.map']))
    .filter((path) => !existsSync(join(root, path.replace(/\.(?:js|d\.ts|js\.map)$/, '.ts'))));
}

if (process.argv[1] === import.meta.filename) {
  for (const path of staleOutputs(rootDir)) rmSync(join(rootDir, 'dist', path));
}
