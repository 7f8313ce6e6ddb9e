import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folder of this package: the nearest one above this file that has a package.json. */
export const packageRoot = findUp(dirname(fileURLToPath(import.meta.url)));

/** The models that ship with the package; read-only. */
export const zooDir = join(packageRoot, 'models', 'zoo');

/** The built page. */
export const clientDir = join(packageRoot, 'dist', 'client');

/** Where registered versions go: the option, else `FETTLE_STORE`, else `./fettle-models`. */
export const storeDirOf = (option?: string): string => option ?? process.env.FETTLE_STORE ?? 'fettle-models';

function findUp(dir: string): string {
  if (existsSync(join(dir, 'package.json'))) return dir;
  const parent = dirname(dir);
  return parent === dir ? dir : findUp(parent);
}
