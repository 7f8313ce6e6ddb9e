import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { backbones } from '../../models/backbones.ts';
import { rootDir } from '../../scripts/repo/source-files.ts';
import { examplesOf, runExample } from '../helpers/example.ts';

const page = readFileSync(join(rootDir, 'docs', 'reference', 'weights.md'), 'utf8');

describe('docs/reference/weights.md', () => {
  it('its example prints the report that the page shows', () => {
    const examples = examplesOf('docs/reference/weights.md');
    expect(examples).to.have.length(1);
    const shown = /^```\n(\S.*?)^```/ms.exec(page)![1]!;
    expect(runExample(examples[0]!)).to.equal(shown);
  }).timeout(30_000);

  it('lists the networks with their feature maps', () => {
    const rows = new Map(
      [...page.matchAll(/^\| `(\w+)` \| [\d ]+ \| (.*) \|$/gm)].map((match) => [match[1], match[2]!]),
    );
    expect([...rows.keys()]).to.deep.equal(Object.keys(backbones));
    for (const [name, { encoder }] of Object.entries(backbones)) {
      if (rows.get(name) === 'the same') {
        expect(encoder.stages).to.deep.equal(backbones.resnet18.encoder.stages);
        continue;
      }
      const told = [...rows.get(name)!.matchAll(/`([\w.]+)` (\d+) \/(\d+)/g)].map(([, layer, channels, reduction]) => ({
        name: layer!.replace(/^\./, 'features.'),
        channels: Number(channels),
        reduction: Number(reduction),
      }));
      expect(told, name).to.deep.equal(encoder.stages);
    }
  });
});
