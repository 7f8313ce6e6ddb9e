import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { examplesOf, runExample } from '../helpers/example.ts';
import { withFolder } from '../helpers/photos.ts';
import { writePhotos } from '../helpers/small-restore.ts';

describe('the examples in docs/guide/train.md', function () {
  this.timeout(120_000);

  it('train on a folder of photos, and retrain what came out', async () => {
    const [train, retrain, ...others] = examplesOf('docs/guide/train.md');
    expect(others).to.deep.equal([]);
    await withFolder(async (folder) => {
      await writePhotos(join(folder, 'photos'), 8);
      const printed = runExample(train!, folder);
      expect(printed).to.match(/^epoch 0: \d\d\.\d\d dB\nepoch 1: \d\d\.\d\d dB\nbest: epoch [01], [1-7] held out\n$/);
      expect(existsSync(join(folder, 'run', 'model.onnx'))).to.equal(true);
      expect(runExample(retrain!, folder)).to.match(/^held out: \d\d\.\d\d dB before, \d\d\.\d\d dB after\n$/);
    });
  });
});
