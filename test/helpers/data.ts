import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

/** A data set's folder below `$FETTLE_DATA` (default: a folder beside the repository), or undefined where it is not there. */
export function dataFolder(name: string): string | undefined {
  const folder = resolve(process.env.FETTLE_DATA ?? '../shared/data', name);
  return existsSync(folder) ? folder : undefined;
}
