import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'chai';
import { rootDir } from '../../scripts/repo/source-files.ts';
import { dataFolder } from '../helpers/data.ts';

const mnist = dataFolder('mnist');
const fileOf = (name: string): string => join(rootDir, 'dist', 'examples', `${name}.js`);

/** Runs an example of this build; returns what it prints. */
const run = (name: string, args: readonly string[]): string =>
  execFileSync(process.execPath, [fileOf(name), ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });

describe('the examples', function () {
  this.timeout(300_000);

  it('human-numbers: two epochs get a third of the next words right', () => {
    const printed = run('human-numbers', ['2']);
    expect(printed).to.match(/^xxbos one , two , three , four , five/);
    expect(printed).to.include('54,950');
    const accuracies = [...printed.matchAll(/accuracy ([\d.]+)/g)].map((match) => Number(match[1]));
    expect(accuracies).to.have.length(2);
    expect(accuracies[1]).to.be.above(0.33);
    expect(printed).to.match(/^text: {2}eight thousand one , eight thousand two .*\nmodel: \w/m);
  });

  it('mnist: 6 400 digits are enough for 80 % (FETTLE_DATA/mnist)', function () {
    if (mnist === undefined) return this.skip();
    const printed = run('mnist', ['1', '6400']);
    expect(printed).to.include('41,132');
    expect(Number(/accuracy ([\d.]+)/.exec(printed)![1])).to.be.above(0.8);
    expect(printed).to.match(/^first test digit: \d, with probability [01]\.\d{3}$/m);
  });

  it('mnist: 100 digits are fewer than a batch, to train on and to test with (FETTLE_DATA/mnist)', function () {
    if (mnist === undefined) return this.skip();
    const printed = run('mnist', ['1', '100']);
    expect(printed).to.match(/^epoch 0: accuracy 0\.\d\d00, /m);
    expect(printed).to.match(/^first test digit: \d/m);
  });

  it('wrong arguments and a folder without digits are reported, and nothing is trained', () => {
    const told = (name: string, args: readonly string[], env = {}): string => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [fileOf(name), ...args], {
        encoding: 'utf8',
        env: { ...process.env, ...env },
      });
      expect([status, stdout]).to.deep.equal([2, '']);
      return stderr;
    };
    expect(told('mnist', ['abc'])).to.match(/^epochs: expected a whole number of at least 1, got abc; use: /);
    expect(told('mnist', ['1', '0'])).to.match(/^digits: expected a whole number of at least 1, got 0/);
    expect(told('mnist', [], { FETTLE_DATA: '/nowhere' })).to.match(
      /^expected MNIST's .* in \/nowhere\/mnist, found none/,
    );
    expect(told('human-numbers', ['1.5'])).to.match(/^epochs: .* got 1.5/);
  });
});
