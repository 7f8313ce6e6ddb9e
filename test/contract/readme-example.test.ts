import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { rootDir } from '../../scripts/source-files.ts';

/** Runs a program whose imports of the package are led to this build; returns what it prints. */
function runExample(code: string): string {
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
    return execFileSync(process.execPath, [file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('the example in the README', () => {
  it('runs, and finds the line', () => {
    const code = /^```js\n(.*?)^```/ms.exec(readFileSync(join(rootDir, 'README.md'), 'utf8'))![1]!;
    const printed = runExample(code);
    const losses = [...printed.matchAll(/loss ([\d.]+)/g)].map((match) => Number(match[1]));
    const [, w, b] = /w (\S+), b (\S+)/.exec(printed)!.map(Number);
    expect(losses).to.have.length(3);
    expect(losses[0]).to.be.above(0.5);
    expect(w).to.be.closeTo(2, 0.02);
    expect(b).to.be.closeTo(1, 0.02);
  });
});
