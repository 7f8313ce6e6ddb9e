import { existsSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { rootDir } from '../../scripts/repo/source-files.ts';
import { importsOf } from '../../scripts/repo/source-scan.ts';

interface Package {
  readonly exports: Readonly<Record<string, { readonly types?: string } | string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

const read = (path: string): string => readFileSync(join(rootDir, path), 'utf8');
const { exports, dependencies } = JSON.parse(read('package.json')) as Package;

/** Packages that a declaration file names, and those that it reaches. */
function packagesNamed(entry: string): string[] {
  const named = new Set<string>();
  const files = new Set([entry]);
  for (const file of files) {
    for (const { specifier } of importsOf(read(file))) {
      if (specifier.startsWith('.')) files.add(join(dirname(file), specifier.replace(/\.[jt]s$/, '.d.ts')));
      else named.add(specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/'));
    }
  }
  return [...named].filter((name) => !name.startsWith('node:') && !builtinModules.includes(name));
}

/** Where the types of a package lie: in itself, or in @types. */
const typesOf = (name: string): string =>
  existsSync(join(rootDir, 'node_modules', '@types', name)) ? `@types/${name}` : name;

describe('the package', () => {
  it('brings the types of every package that its declarations name', () => {
    const entries = Object.values(exports).flatMap((entry) =>
      typeof entry === 'object' && entry.types !== undefined ? [entry.types] : [],
    );
    const named = entries.flatMap(packagesNamed);
    expect(entries).to.have.length.above(4);
    expect(named).to.include.members(['express', 'pino', 'zod']);
    expect([...new Set(named.map(typesOf))].filter((name) => !(name in dependencies))).to.deep.equal([]);
  });
});
