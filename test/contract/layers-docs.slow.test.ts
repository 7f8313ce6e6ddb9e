import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { rootDir } from '../../scripts/repo/source-files.ts';
import * as nn from '../../training/nn/layers.ts';
import * as losses from '../../training/nn/losses.ts';
import { optimizers } from '../../training/optim/optimizers.ts';
import { examplesOf, runExample } from '../helpers/example.ts';

const page = readFileSync(join(rootDir, 'docs', 'reference', 'layers.md'), 'utf8');

/** Names in the first column of the table under a heading. */
function named(heading: string): string[] {
  const section = new RegExp(`^## ${heading}\\n(.*?)(?=^## |$(?![\\s\\S]))`, 'ms').exec(page)![1]!;
  const cells = [...section.matchAll(/^\| (`.*?) \|/gm)].map((match) => match[1]!);
  return cells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map((match) => match[1]!));
}

const functionsOf = (module: object): string[] =>
  Object.entries(module).flatMap(([name, value]) => (typeof value === 'function' ? [name] : []));

describe('docs/reference/layers.md', () => {
  const [train, carry, ...others] = examplesOf('docs/reference/layers.md');

  it('lists every layer, loss and optimiser, and no others', () => {
    const helpers = ['filterNorms', 'spectralNormed', 'weightNormed'];
    const layers = functionsOf(nn).filter((name) => !helpers.includes(name));
    expect(named('Layers').sort()).to.deep.equal(layers.sort());
    expect(named('Losses').sort()).to.deep.equal(functionsOf(losses).sort());
    expect(named('Optimisers').sort()).to.deep.equal(Object.keys(optimizers).sort());
  });

  it('tells the defaults of the optimisers', () => {
    for (const [name, { hyper }] of Object.entries(optimizers)) {
      const row = new RegExp(`^\\| \`${name}\` \\| (.*) \\|$`, 'm').exec(page)![1]!;
      const told = [...row.matchAll(/`(\w+)` ([\d.e-]+)/g)].map((match) => [match[1], Number(match[2])]);
      expect(Object.fromEntries(told), name).to.deep.equal(hyper);
    }
  });

  it('its first example learns', () => {
    expect(others).to.deep.equal([]);
    const [first, last] = [...runExample(train!).matchAll(/loss ([\d.]+)/g)].map((match) => Number(match[1]));
    expect(first).to.be.above(0.5);
    // Smoothing by 0.1 leaves 0.199 at best.
    expect(last).to.be.within(0.198, 0.3);
  }).timeout(30_000);

  it('its second example carries the state on', () => {
    expect(runExample(carry!)).to.equal('scores [1,3,10]\nscores [1,2,10]\n');
  }).timeout(30_000);
});
