import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { rootDir } from '../../scripts/repo/source-files.ts';

/** The programs of a page of the docs, in order: its blocks of js, and the files of examples/ that it links to. */
export const examplesOf = (page: string): readonly string[] =>
  [
    ...readFileSync(join(rootDir, page), 'utf8').matchAll(/^```js\n(.*?)^```|\]\([./]+(examples\/[\w/-]+\.js)\)/gms),
  ].map(([, block, file]) => block ?? readFileSync(join(rootDir, file!), 'utf8'));

/** Runs a program whose imports of the package are led to this build; returns what it prints. In `cwd`, else nowhere in particular. */
export function runExample(code: string, cwd?: string): string {
  const { exports } = JSON.parse(readFileSync(join(rootDir, 'package.json'), 'utf8')) as {
    exports: Record<string, { default: string }>;
  };
  const urlOf = (name: string): string =>
    pathToFileURL(join(rootDir, exports[name.replace('fettle', '.')]!.default)).href;
  const folder = mkdtempSync(join(tmpdir(), 'fettle-example-'));
  try {
    const file = join(folder, 'example.mjs');
    writeFileSync(
      file,
      code.replace(/from '(fettle[\w/]*)'/g, (_, name: string) => `from '${urlOf(name)}'`),
    );
    return execFileSync(process.execPath, [file], {
      cwd: cwd ?? folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
