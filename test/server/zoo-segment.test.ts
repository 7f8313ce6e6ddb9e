import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { packageRoot, zooDir } from '../../server/store/paths.ts';
import { type ModelVersion, openStore } from '../../server/store/store.ts';
import { specOf } from '../../tasks/config.ts';
import { segmentContract } from '../../tasks/segment/contract.ts';
import { readSegmentFolder } from '../../tasks/segment/folder.node.ts';
import { classIds, segmentInput, segmentSize } from '../../tasks/segment/infer.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import { decodeRgb } from '../../training/pictures/decode.node.ts';
import { readMask } from '../../training/pictures/masks/mask-file.node.ts';
import { openSession } from '../../training/run/ort.node.ts';
import type { Session } from '../../training/run/session.ts';
import { dataFolder } from '../helpers/data.ts';
import { wavyImage } from '../helpers/photos.ts';

describe('the segmentation model that is shipped', function () {
  this.timeout(60_000);
  const store = openStore({ zooDir, storeDir: join(packageRoot, 'no-store') });
  let version: ModelVersion;
  let session: Session;
  before(async () => {
    version = await store.resolve('segment@1');
    session = await openSession(await store.read(version, 'model.onnx'), { threads: 1 });
  });
  after(() => session.release());

  it('has every file it names, unchanged, and no other; 12 MB at most', async () => {
    for (const file of Object.keys(version.config.files)) await store.read(version, file);
    const names = await readdir(version.dir);
    expect(names.sort()).to.deep.equal(['config.json', ...Object.keys(version.config.files)].sort());
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(version.dir, name))).size));
    expect(sizes.reduce((sum, size) => sum + size, 0)).to.be.at.most(12e6);
  });

  it('is for research only, says so, and is outside of the package', async () => {
    for (const file of ['card.md', 'LICENSE'])
      expect(await readFile(join(version.dir, file), 'utf8'), file).to.match(/research only/i);
    const { files } = JSON.parse(await readFile(join(packageRoot, 'package.json'), 'utf8')) as { files: string[] };
    expect(files.filter((one) => /^models/.test(one))).to.deep.equal(['models/zoo/restore']);
  });

  it('gives the probabilities of its classes for pictures of any size', async () => {
    const { classes } = specOf(segmentContract, version.config);
    for (const size of [
      { width: 96, height: 64 },
      { width: 75, height: 61 },
    ]) {
      const { probabilities } = await session.run({ image: segmentInput(wavyImage(90, 60, 1), size) });
      expect(probabilities!.dims).to.deep.equal([1, classes.length, size.height, size.width]);
      const { data } = probabilities as Tensor<'float32'>;
      const plane = size.width * size.height;
      for (let i = 0; i < plane; i += 97) {
        const sum = classes.reduce((total, _, c) => total + data[c * plane + i]!, 0);
        expect(sum).to.be.closeTo(1, 1e-5);
      }
    }
  });

  it('tells the pixels of street scenes that it was not trained on (FETTLE_DATA/camvid)', async function () {
    const folder = dataFolder('camvid');
    if (folder === undefined) return this.skip();
    const { test, voidId } = await readSegmentFolder(folder);
    let [right, counted] = [0, 0];
    for (const { path, mask } of [0, 80, 160].map((i) => test[i]!)) {
      const [photo, truth] = [await decodeRgb(path), await readMask(mask)];
      const size = segmentSize(photo, specOf(segmentContract, version.config).shortSide);
      const { probabilities } = await session.run({ image: segmentInput(photo, size) });
      const { data } = classIds(probabilities as Tensor<'float32'>, truth);
      truth.data.forEach((label, i) => {
        if (label === voidId) return;
        counted += 1;
        if (label === data[i]) right += 1;
      });
    }
    expect(right / counted).to.be.above(0.75);
  });
});
