import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** A file or folder below `$FETTLE_DATA`, or undefined where there is none; the title of a test that then skips names it. */
export function dataFolder(name: string): string | undefined {
  const data = process.env.FETTLE_DATA;
  const path = data && join(data, name);
  return path && existsSync(path) ? path : undefined;
}
