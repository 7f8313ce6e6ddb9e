import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { rootDir } from '../../scripts/repo/source-files.ts';
import { events } from '../../training/loop/fit-loop.ts';
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

  it('tells every event and every metric there is', async () => {
    const text = readFileSync(join(rootDir, page), 'utf8');
    const { metrics } = await import('../../training/index.ts');
    const helpers = ['addConfusion', 'meanMetric', 'pictureOf'];
    const names = [...Object.keys(events), ...Object.keys(metrics).filter((name) => !helpers.includes(name))];
    expect(names.length).to.be.greaterThan(20);
    expect(names.filter((name) => !text.includes(name))).to.deep.equal([]);
  });
});
