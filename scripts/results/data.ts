import { resolve } from 'node:path';
import { ensure } from '../../training/core/errors.ts';

/** The folder of data sets that docs/data.md describes: `$FETTLE_DATA`. */
export function dataFolder(): string {
  const folder = process.env.FETTLE_DATA;
  ensure(
    folder,
    'bad-argument',
    () => 'FETTLE_DATA: expected the folder of the data sets (docs/data.md), got nothing; set it',
  );
  return resolve(folder);
}
