import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { rootDir } from '../../scripts/repo/source-files.ts';

/** What users import, and the file that lists its names. */
const entries: Readonly<Record<string, string>> = {
  fettle: 'training/index.ts',
  'fettle/node': 'training/index.node.ts',
  'fettle/web': 'training/index.web.ts',
  'fettle/tasks': 'tasks/index.node.ts',
  'fettle/tasks (browser)': 'tasks/index.web.ts',
  'fettle/server': 'server/index.ts',
  'fettle/client': 'client/api.ts',
};
const pinned = 'test/fixtures/surface.txt';
const textOf = (path: string): string => readFileSync(join(rootDir, path), 'utf8');

/** The names that a file exports, sorted; those of types as `type Name`. */
function namesOf(text: string): readonly string[] {
  const lists = [...text.matchAll(/^export (type )?\{([^}]*)\}/gm)].flatMap(([, type = '', list]) =>
    list!
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== '')
      .map((one) => `${type}${one.replace(/^.* as /, '')}`),
  );
  const spaces = [...text.matchAll(/^export \* as (\w+)/gm)].map(([, name]) => name!);
  const own = [...text.matchAll(/^export (?:async )?(interface|type|class|const|function\*?) (\w+)/gm)].map(
    ([, kind, name]) => (kind === 'interface' || kind === 'type' ? `type ${name}` : name!),
  );
  return [...lists, ...spaces, ...own].sort();
}

const files = Object.values(entries);
const surface = (): string =>
  Object.entries(entries)
    .map(([entry, path]) => `# ${entry}\n${namesOf(textOf(path)).join('\n')}\n`)
    .join('\n');

describe('the public surface', () => {
  it('is the list in test/fixtures/surface.txt', () => {
    expect(surface()).to.equal(textOf(pinned), `names were added or removed: change ${pinned} and the docs with them`);
  });

  it('is explicit: no entry exports whatever another file has', () => {
    for (const path of files) expect(textOf(path), path).to.not.match(/^export (type )?\* from/m);
  });

  it('belongs to the entries of package.json', () => {
    const { exports } = JSON.parse(textOf('package.json')) as { exports: Record<string, unknown> };
    const named = JSON.stringify(exports)
      .match(/dist\/[\w/.]+\.js"/g)!
      .map((path) => path.slice(5, -1).replace(/js$/, 'ts'));
    expect(named).to.have.members(files);
  });

  it('is in the docs: every function, class and constant is mentioned in the guide or the reference', () => {
    const docs = ['docs/guide', 'docs/reference']
      .flatMap((folder) => readdirSync(join(rootDir, folder)).map((file) => textOf(`${folder}/${file}`)))
      .join('\n');
    const unsaid = files.flatMap((path) =>
      namesOf(textOf(path))
        .filter((name) => !name.startsWith('type ') && !new RegExp(`\\b${name}\\b`).test(docs))
        .map((name) => `${path}: ${name}`),
    );
    expect(unsaid).to.deep.equal([]);
  });
});
