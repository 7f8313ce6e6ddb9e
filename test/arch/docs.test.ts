import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { listFiles, readSources, rootDir } from '../../scripts/repo/source-files.ts';
import { requestErrors } from '../../server/errors.ts';
import { contracts } from '../../tasks/contracts.ts';
import { restoreRunDefaults } from '../../tasks/restore/recipe.node.ts';
import { routeOf } from '../../tasks/task.ts';
import { helpOf } from '../helpers/program.ts';

const read = (path: string): string => readFileSync(join(rootDir, path), 'utf8');
const topPages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'];
const pages = [...topPages, ...listFiles(rootDir, 'docs', ['.md'])].map((path) => ({ path, text: read(path) }));

/** Lines of shell code in a page, continuation lines joined, comments cut. */
function shellLines(text: string): string[] {
  const blocks = [...text.matchAll(/^```(?:sh|bash)?\n(.*?)^```/gms)].map((match) => match[1]!);
  const lines = blocks
    .join('\n')
    .replace(/\\\n\s*/g, ' ')
    .split('\n');
  return lines.map((line) => line.replace(/(^|\s)#.*$/, '').trim());
}

/** GitHub's anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .trim()
    .replace(/ /g, '-');

/** Why a relative link of `page` leads nowhere, or null. */
function brokenLink(page: string, link: string): string | null {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? page : join(dirname(page), path);
  if (!existsSync(join(rootDir, target))) return `${page}: ${link} is not there`;
  if (!anchor || !target.endsWith('.md')) return null;
  const anchors = [...read(target).matchAll(/^#+ (.*)$/gm)].map((match) => anchorOf(match[1]!));
  return anchors.includes(anchor) ? null : `${page}: ${link} has no such heading`;
}

/** Commands and options of a `fettle …` line that its own help does not know. */
function unknownParts(line: string): string[] {
  const words = line.split(/\s+/);
  const [command = '', ...rest] = words.slice(words.indexOf('fettle') + 1);
  const nested = /^Commands:$/m.test(helpOf(command) ?? '') && /^[a-z]/.test(rest[0] ?? '');
  const help = nested ? helpOf(command, rest[0]!) : helpOf(command);
  if (help === null) return [line];
  const options = rest.filter((word) => /^--?[a-z]/.test(word)).map((word) => word.split('=')[0]!);
  const globals = helpOf()!;
  return options
    .filter((option) => !hasOption(help, option) && !hasOption(globals, option))
    .map((option) => `${line}: ${option}`);
}

const hasOption = (help: string, option: string): boolean => new RegExp(`(^|[\\s,])${option}(?![\\w-])`).test(help);

/** Paths of package.json by entry, and perhaps by condition. */
interface Targets {
  readonly [entry: string]: string | Targets;
}

describe('docs in step with the code', () => {
  it('docs/reference/errors.md lists exactly the error codes there are', () => {
    const union = /export type ErrorCode =([^;]*);/.exec(read('training/core/errors.ts'))![1]!;
    const codes = [...union.matchAll(/'([\w-]+)'/g)].map((match) => match[1]);
    const rows = [...read('docs/reference/errors.md').matchAll(/^\| `([\w-]+)` \|/gm)].map((match) => match[1]);
    expect(codes).to.have.length.greaterThan(5);
    expect(rows).to.deep.equal(codes);
  });

  it('docs/reference/http.md lists the codes and the routes of the server', () => {
    const page = read('docs/reference/http.md');
    const rows = [...page.matchAll(/^\| (\d{3}) \| `([\w-]+)` \| (.*) \|$/gm)].map((match) => match.slice(1));
    const codes = Object.entries(requestErrors).map(([code, [status, means]]) => [`${status}`, code, means]);
    expect(rows).to.deep.equal(codes);
    const server = listFiles(rootDir, 'server', ['.ts']).map(read).join('\n');
    const written = [...server.matchAll(/router\.(get|post|put|delete)\('(\/[^']*)'/g)].map(
      (match) => `${match[1]!.toUpperCase()} ${match[2]!.replace(/:(\w+)/g, (_, name: string) => name.toUpperCase())}`,
    );
    expect(written.length).to.be.greaterThan(3);
    const routes = [...written, ...contracts.map((contract) => `POST ${routeOf(contract)}`)];
    expect(routes.filter((route) => !page.includes(`\`${route}\``))).to.deep.equal([]);
  });

  it('docs/guide/train.md states the defaults of fettle train restore', () => {
    const { stages, samplesPerEpoch, lr, loss, seed } = restoreRunDefaults;
    const epochs = stages.reduce((sum, stage) => sum + stage.epochs, 0);
    const sizes = stages.map(({ size }) => size).join(', then ');
    const wanted = {
      epochs: `${epochs}, ${samplesPerEpoch}`,
      size: sizes,
      batch: `${stages[0]!.batchSize}`,
      lr: `${lr}`,
      loss: `\`${loss}\``,
      seed: `${seed}`,
    };
    const section = /^## Restore\n(.*?)^## /ms.exec(read('docs/guide/train.md'))![1]!;
    const cells = [...section.matchAll(/^- `--(\w+).*Default: (.*)$/gm)];
    const stated = Object.fromEntries(cells.map((match) => [match[1]!, match[2]!]));
    expect(stated).to.include(wanted);
  }).timeout(20_000);

  it('relative links lead somewhere', () => {
    const links = pages.flatMap(({ path, text }) =>
      [...text.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => ({ path, link: match[1]! })),
    );
    const relative = links.filter(({ link }) => !/^[a-z]+:/.test(link));
    expect(relative.length).to.be.greaterThan(10);
    expect(relative.map(({ path, link }) => brokenLink(path, link)).filter((reason) => reason !== null)).to.deep.equal(
      [],
    );
  });

  it('npm scripts that the docs name exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = pages.flatMap(({ text }) => [...text.matchAll(/npm run ([\w:-]+)/g)].map((match) => match[1]!));
    expect(named).to.include('check');
    expect(named.filter((name) => !(name in scripts))).to.deep.equal([]);
  });

  it('package.json points at files that the build makes', () => {
    const { exports, bin } = JSON.parse(read('package.json')) as Record<'exports' | 'bin', Targets>;
    const pathsIn = (entry: string | Targets): string[] =>
      typeof entry === 'string' ? [entry] : Object.values(entry).flatMap(pathsIn);
    const targets = [exports, bin].flatMap(pathsIn);
    expect(targets.length).to.be.greaterThan(5);
    expect(targets.filter((path) => !existsSync(join(rootDir, path)))).to.deep.equal([]);
  });

  it('commands and options that the docs show exist', () => {
    const lines = pages.flatMap(({ text }) => shellLines(text)).filter((line) => /^(npx )?fettle [a-z]/.test(line));
    expect(lines.length).to.be.greaterThan(5);
    expect(lines.flatMap(unknownParts)).to.deep.equal([]);
  }).timeout(30_000);

  it('files that the docs run with node exist once built', () => {
    const runs = pages.flatMap(({ text }) => [
      ...text.matchAll(/\bnode (?:--[\w-]+ )*((?:dist|scripts|test|node_modules)\/[\w./-]+\.js)/g),
    ]);
    const missing = runs.map((match) => match[1]!).filter((path) => !existsSync(join(rootDir, path)));
    expect(missing).to.deep.equal([]);
  });

  it('environment variables that the docs name are read somewhere', () => {
    const named = new Set(
      pages.flatMap(({ text }) => [...text.matchAll(/\b(?:FETTLE_\w+|CHROMIUM_PATH)\b/g)].map(String)),
    );
    const code = [...readSources().map(({ text }) => text), read('.ci/run')].join('\n');
    expect(named.size).to.be.greaterThan(2);
    expect([...named].filter((name) => !code.includes(`env.${name}`) && !code.includes(`${name}=`))).to.deep.equal([]);
  });

  it('the pages speak of the project only', () => {
    const foreign = /(?:^|[\s(`'"])(?:\/work\/|\/tmp\/|\.\.\/shared)/m;
    expect(pages.filter(({ text }) => foreign.test(text)).map(({ path }) => path)).to.deep.equal([]);
  });
});
