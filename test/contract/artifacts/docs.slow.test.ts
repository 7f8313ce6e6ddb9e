import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { architectureNames } from '../../../scripts/cli/architecture-names.ts';
import { rootDir } from '../../../scripts/repo/source-files.ts';
import { type ArtifactSet, artifactNames } from '../../../training/export/ort-artifacts.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import { examplesOf, runExample } from '../../helpers/example.ts';
import { ortTrainer } from '../../helpers/ort-training.ts';
import { withFolder } from '../../helpers/photos.ts';

const page = 'docs/reference/artifacts.md';

describe('docs/reference/artifacts.md', function () {
  this.timeout(60_000);

  it('the example writes both forms, and each continues training', () =>
    withFolder(async (folder) => {
      const printed = runExample(examplesOf(page)[0]!, folder);
      expect(printed).to.equal('head.bias head.weight hidden.bias hidden.weight 20 20\n');
      const entries = artifactNames.map(
        (name) => [name, new Uint8Array(readFileSync(join(folder, 'ort', name)))] as const,
      );
      const theirs = await ortTrainer(Object.fromEntries(entries) as ArtifactSet);
      const batch = {
        x: { dtype: 'float32', dims: [16, 2], data: Float32Array.from({ length: 32 }, (_, i) => Math.sin(i * i)) },
        y: { dtype: 'int32', dims: [16], data: new Int32Array(16) },
      } as const;
      const losses: number[] = [];
      for (let i = 0; i < 5; i++) {
        losses.push(Number((await theirs.train(batch)).loss!.data[0]));
        await theirs.update();
      }
      theirs.release();
      expect(losses.at(-1)).to.be.below(losses[0]!);
      const stock = await openSession(join(folder, 'plain', 'training_model.onnx'));
      expect(stock.outputNames).to.include.members(['loss', 'grad/head.weight']);
      await stock.release();
    }));

  it('names the architectures there are', () => {
    const text = readFileSync(join(rootDir, page), 'utf8');
    const shortened = architectureNames.filter((name) => !/^human-numbers-[1-5]$/.test(name));
    expect(shortened.length).to.be.above(5);
    expect(shortened.filter((name) => !text.includes(`\`${name}\``))).to.deep.equal([]);
  });
});
