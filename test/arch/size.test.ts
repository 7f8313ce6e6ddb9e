import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { staleOutputs } from '../../scripts/repo/prune.ts';
import { limits, violations } from '../../scripts/repo/size.ts';
import { readSources } from '../../scripts/repo/source-files.ts';
import { functionsOf, importsOf, maskSource } from '../../scripts/repo/source-scan.ts';

describe('sizes', () => {
  it('files and functions stay within their limits', () => {
    expect(violations(readSources())).to.deep.equal([]);
  });

  it('a file and a function over the limit are reported', () => {
    const body = Array.from({ length: limits.fileLines }, (_, i) => `  f(${i});`).join('\n');
    const found = violations([{ path: 'a.ts', text: `export function long(): void {\n${body}\n}\n` }]);
    expect(found).to.have.length(3);
    expect(found[1]).to.match(/^a\.ts:1 long: 402 lines/);
  });

  it('functions are found in every form they are written in', () => {
    const text = [
      'function a(x: { n: number }): { m: number } {',
      '  return { m: x.n };',
      '}',
      'const b = (x: number): number =>',
      '  x + 1;',
      'class C {',
      '  method(s = "}"): void {',
      '    if (s) return;',
      '  }',
      '}',
      'const one = (x: number) => x;',
      'const d = async () => {',
      '  await call(/[{]/, `$' + '{"}"}{`);',
      '};',
      'function e(f: () => void, n!: number): () => Promise<void> {',
      '  return () => n! / 2 + n! / 3 > 1 ? f() : f();',
      '}',
    ].join('\n');
    const found = functionsOf(text).map(({ name, line, lines }) => [name, line, lines]);
    expect(found).to.deep.equal([
      ['a', 1, 3],
      ['b', 4, 2],
      ['method', 7, 3],
      ['d', 12, 3],
      ['e', 15, 3],
    ]);
  });

  it('comments are blanked, strings kept, lines and indices unchanged', () => {
    const text = "const a = '//no'; // yes\n/* two\nlines */ b / c / d;";
    const masked = maskSource(text, { strings: false });
    expect(masked).to.equal("const a = '//no';       \n      \n         b / c / d;");
  });

  it('imports are read from every form', () => {
    const text =
      "import a, {\n b } from './a.ts';\nimport type { C } from './c.ts';\nexport * from './d.ts';\nimport './e.ts';\nconst f = await import('./f.ts');\n// import './no.ts'";
    expect(importsOf(text).map((line) => line.specifier)).to.deep.equal([
      './a.ts',
      './c.ts',
      './d.ts',
      './e.ts',
      './f.ts',
    ]);
    expect(importsOf(text).filter((line) => line.typeOnly)).to.have.length(1);
  });
});

describe('stale build output', () => {
  it('finds built files whose source is gone, and no others', () => {
    const root = mkdtempSync(join(tmpdir(), 'fettle-prune-'));
    try {
      for (const dir of ['test', 'dist/test']) mkdirSync(join(root, dir), { recursive: true });
      for (const path of ['test/kept.ts', 'dist/test/kept.js', 'dist/test/gone.js', 'dist/test/gone.d.ts']) {
        writeFileSync(join(root, path), '');
      }
      expect(staleOutputs(root)).to.deep.equal(['test/gone.d.ts', 'test/gone.js']);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
