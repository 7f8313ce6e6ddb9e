import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import { unetHalo, unetMultiple } from '../../models/unet.ts';
import { createPicturePool, type PicturePool, pictureModel, runPicture } from '../../server/serve/pictures.ts';
import { packageRoot, zooDir } from '../../server/store/paths.ts';
import { type ModelVersion, openStore } from '../../server/store/store.ts';
import { specOf } from '../../tasks/config.ts';
import { restoreContract } from '../../tasks/restore/contract.ts';
import { restoreConfigOf } from '../../tasks/restore/net.ts';
import { restoreTask } from '../../tasks/restore/serve.node.ts';

/** Where the number stands in the page's sample, as shares of its size: left, top, width, height. */
const numberBox = [0.04, 0.12, 0.18, 0.16] as const;

/** Share of nearly white pixels in the box of the number. */
async function whiteShare(file: Uint8Array): Promise<number> {
  const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const [left, top, width, height] = numberBox;
  let white = 0;
  let all = 0;
  for (let y = Math.round(top * info.height); y < (top + height) * info.height; y++) {
    for (let x = Math.round(left * info.width); x < (left + width) * info.width; x++) {
      all++;
      if (Math.min(...data.subarray(3 * (y * info.width + x), 3 * (y * info.width + x) + 3)) > 170) white++;
    }
  }
  return white / all;
}

describe('the model that is shipped', () => {
  const store = openStore({ zooDir, storeDir: join(packageRoot, 'no-store') });
  let version: ModelVersion;
  let model: Uint8Array;
  let pool: PicturePool;

  before(async () => {
    version = await store.resolve('restore@1');
    model = await store.read(version, 'model.onnx');
    pool = createPicturePool({ device: 'cpu', workers: 1, log: { warn: () => undefined } });
    await pool.load(pictureModel(restoreContract, version, model));
  });
  after(() => pool.close());

  it('has every file it names, unchanged, and no other; 8 MB at most', async () => {
    for (const file of Object.keys(version.config.files)) await store.read(version, file);
    const names = await readdir(version.dir);
    expect(names.sort()).to.deep.equal(['config.json', ...Object.keys(version.config.files)].sort());
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(version.dir, name))).size));
    expect(sizes.reduce((sum, size) => sum + size, 0)).to.be.at.most(8e6);
  });

  it('declares the tiles that its architecture needs', () => {
    const config = restoreConfigOf(model);
    expect(specOf(restoreContract, version.config)).to.include({
      halo: unetHalo(config),
      multipleOf: unetMultiple(config),
    });
  });

  it("takes the number off the page's sample at twice its size", async () => {
    const photo = await readFile(join(packageRoot, 'tasks', 'restore', 'sample.jpg'));
    const query = { scale: 2, format: 'png', quality: 90, metadata: 'strip' } as const;
    expect(await whiteShare(photo)).to.be.above(0.1);
    // The bytes move to the worker.
    const { result } = await runPicture(pool, restoreTask, () => version, { files: { image: photo }, query });
    expect(await whiteShare(result.file)).to.be.below(0.01);
  });
});
