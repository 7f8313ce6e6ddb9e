import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { rootDir } from '../../scripts/repo/source-files.ts';
import { resolveLearner } from '../../training/learner/resolve.ts';
import { events } from '../../training/loop/fit-loop.ts';
import * as losses from '../../training/nn/losses.ts';
import { examplesOf, runExample } from '../helpers/example.ts';
import { withFolder } from '../helpers/photos.ts';

const page = 'docs/reference/learner.md';

describe('docs/reference/learner.md', function () {
  this.timeout(60_000);

  it('the first example learns the circle', () =>
    withFolder(async (folder) => {
      const printed = runExample(examplesOf(page)[0]!, folder);
      expect(printed).to.match(/^Total params: 162$/m);
      expect(printed).to.match(/^suggested \de-\d$/m);
      const accuracies = [...printed.matchAll(/accuracy (\d\S*)/g)].map((match) => Number(match[1]));
      expect(accuracies).to.have.length(5);
      expect(accuracies.at(-1)).to.be.above(0.93);
      expect(Number(/probability (\S+)/.exec(printed)![1])).to.be.above(0.9);
      expect(existsSync(join(folder, 'loss.png')) && existsSync(join(folder, 'schedule.svg'))).to.equal(true);
    }));

  it('the second trains in two stages, and does nothing when it is run again', () =>
    withFolder(async (folder) => {
      const program = examplesOf(page)[1]!;
      const first = runExample(program, folder);
      expect(Number(/valid loss (\S+)/.exec(first)![1])).to.be.below(0.05);
      expect(first).to.match(/afterValidate +saveBest/);
      for (const path of ['history.csv', 'logs', 'run/head/manifest.json', 'run/all/epoch-004.safetensors'])
        expect(existsSync(join(folder, path)), path).to.equal(true);
      const written = readFileSync(join(folder, 'run/all/checkpoint.safetensors'));
      expect(runExample(program, folder)).to.equal(first);
      expect(readFileSync(join(folder, 'run/all/checkpoint.safetensors')).equals(written)).to.equal(true);
    }));

  it('states the options of createLearner and their defaults', () => {
    const never = (): never => expect.fail('nothing runs');
    const data = { train: { batchesPerEpoch: 1, epoch: never } };
    const resolved = resolveLearner({ model: never, loss: losses.mseLoss, data, open: never });
    const text = readFileSync(join(rootDir, page), 'utf8');
    const stated = Object.fromEntries(
      [...text.matchAll(/^- ((?:`\w+`(?:, )?)+): .* Default: (.*)$/gm)].flatMap(([, names, defaults]) => {
        const all = [...names!.matchAll(/\w+/g)].map(String);
        return all.map((name, i) => [name, all.length === 1 ? defaults! : (defaults!.split(', ')[i] ?? '')]);
      }),
    );
    const { model, loss, data: _, open, activation, name, ...others } = resolved;
    expect(Object.keys(stated).sort()).to.deep.equal(Object.keys(others).sort());
    for (const key of ['lr', 'wd', 'accumulate', 'seed', 'freeSize'] as const)
      expect(Number(stated[key]), key).to.equal(resolved[key]);
    expect(stated.moms).to.equal(resolved.moms.join(', '));
    expect([stated.optimizer, stated.loops]).to.deep.equal([`\`${resolved.optimizer.name}\``, `\`${resolved.loops}\``]);
    expect([stated.wdNormBias, stated.trainBn]).to.deep.equal(['no', 'yes']);
    expect([resolved.wdNormBias, resolved.trainBn]).to.deep.equal([false, true]);
  });

  it('names every event and every metric there is', async () => {
    const text = readFileSync(join(rootDir, page), 'utf8');
    const { metrics } = await import('../../training/index.ts');
    const helpers = ['addConfusion', 'meanMetric', 'pictureOf'];
    const names = [...Object.keys(events), ...Object.keys(metrics).filter((name) => !helpers.includes(name))];
    expect(names.length).to.be.greaterThan(20);
    expect(names.filter((name) => !text.includes(name))).to.deep.equal([]);
  });
});
