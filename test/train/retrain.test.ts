import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import { readHeldOut } from '../../tasks/restore/held-out.node.ts';
import { exportRestore, restoreParts, restoreSpecs } from '../../tasks/restore/net.ts';
import { countDamaged, restoreMetrics, scoreRestore, wholePictures } from '../../tasks/restore/score.ts';
import { createRng } from '../../training/core/rng.ts';
import { f32 } from '../../training/core/tensor.ts';
import { createLearner } from '../../training/learner/learner.ts';
import { importWeights } from '../../training/nn/import.ts';
import { initialWeights } from '../../training/nn/scope.ts';
import { initializersOf } from '../../training/onnx/weights.ts';
import { listImages } from '../../training/pictures/items.node.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { fettle, fettleJson } from '../helpers/command.ts';
import { smallRun, writePhotos } from '../helpers/small-restore.ts';
import { type Bench, createBench, post, until } from '../server/harness.ts';

const { model: config } = smallRun;
const fresh = (seed: number): ReadonlyMap<string, Float32Array> => initialWeights(restoreSpecs(config), seed);
const run = ['--device', 'cpu', '--size', '32', '--batch', '4', '--epochs', '2'] as const;

describe('fettle retrain', function () {
  this.timeout(120_000);
  let bench: Bench;
  let store: string;
  beforeEach(async () => {
    bench = await createBench();
    store = join(bench.dir, 'store');
    await bench.publish(exportRestore(config, fresh(1)));
    await writePhotos(join(bench.dir, 'photos'), 8);
  });
  afterEach(() => bench.end());

  const retrain = (...more: readonly string[]): Promise<Record<string, unknown>> =>
    fettleJson(bench.dir, 'retrain', 'restore', '--data', 'photos', '--store', store, ...run, ...more);

  it('registers the next version with card and hashes; a running server takes it, and rollback takes it back', async () => {
    const server = await bench.start();
    const picture = await sharp({ create: { width: 24, height: 16, channels: 3, background: '#567' } })
      .png()
      .toBuffer();
    const served = async (): Promise<string | null> => {
      const response = await post(server.url, picture);
      await response.arrayBuffer();
      return response.headers.get('x-model');
    };
    expect(await served()).to.equal('restore@1');

    const result = await retrain('--samples', '240', '--lr', '0.003');
    const { version, before, after } = result as {
      version: number;
      before: Record<string, number>;
      after: Record<string, number>;
    };
    expect(result.active, `${before.psnr} dB -> ${after.psnr} dB`).to.equal(true);
    expect(after.psnr).to.be.above(before.psnr! + 0.05);
    expect(after.input_psnr, 'the same held-out pictures').to.equal(before.input_psnr);
    await until(async () => (await served()) === `restore@${version}`);

    const found = await bench.store.resolve(`restore@${version}`);
    expect(Object.keys(found.config.files).sort()).to.deep.equal(['LICENSE', 'card.md', 'model.onnx']);
    for (const [name, { sha256, sizeBytes }] of Object.entries(found.config.files)) {
      const bytes = await readFile(join(found.dir, name));
      expect([createHash('sha256').update(bytes).digest('hex'), bytes.length]).to.deep.equal([sha256, sizeBytes]);
    }
    expect(found.config.metrics.heldOutPsnrDb).to.equal(after.psnr);
    expect(found.config.metrics.startPsnrDb).to.equal(before.psnr);
    const card = await readFile(join(found.dir, 'card.md'), 'utf8');
    for (const text of ['From restore@1', `--lr 0.003`, `${before.psnr!.toFixed(2)} dB | ${after.psnr!.toFixed(2)} dB`])
      expect(card).to.include(text);

    expect((await fettleJson(bench.dir, 'models', 'rollback', 'restore', '--store', store)).active).to.equal(1);
    await until(async () => (await served()) === 'restore@1');
  });

  it('a version that does worse is kept, but does not serve', async () => {
    // A good model, and steps so large that it forgets.
    await retrain('--samples', '240', '--lr', '0.003');
    const short = ['--samples', '8', '--epochs', '1'];
    const { active, version } = await retrain(...short, '--lr', '3');
    expect(active).to.equal(false);
    expect((await bench.store.resolve(`restore@${version}`)).config.version).to.equal(version);
    expect((await bench.store.resolve('restore')).config.version).to.equal(Number(version) - 1);
    // It does not matter what it started from: the one that serves is measured.
    for (const from of ['none', `restore@${version}`]) {
      const other = await retrain(...short, '--lr', '0.000001', '--from', from);
      expect([other.version, other.active], from).to.deep.equal([Number(version) + (from === 'none' ? 1 : 2), false]);
    }
    expect((await bench.store.resolve('restore')).config.version).to.equal(Number(version) - 1);
    const own = await retrain(...short, '--from', 'none', '--name', 'own');
    expect([own.name, own.version, own.active]).to.deep.equal(['own', 1, true]);
  });

  it('is measured as it serves, to within the rounding of the run’s own numbers', async () => {
    const { model, spec } = exportRestore(config, fresh(1));
    const items = await listImages(join(bench.dir, 'photos'));
    const held = await readHeldOut(items, 1, () => {});
    const weights = initializersOf(model);
    const open = (bytes: Uint8Array) => openSession(bytes, { threads: 1 });
    const whole = wholePictures(held, spec.multipleOf);
    const learner = await createLearner({
      ...restoreParts(config, 'mse'),
      data: { train: whole, valid: whole },
      open,
      metrics: restoreMetrics,
      countTargets: countDamaged,
    });
    learner.load(importWeights(learner.state.specs, weights));
    const { psnr } = await learner.validate();
    await learner.close();
    expect(await scoreRestore({ model, spec }, held, open)).to.be.closeTo(psnr!, 1e-3);
  });

  it('a model of another kind is refused', async () => {
    await bench.publish();
    const { code, stderr } = await fettle(
      { cwd: bench.dir },
      ...['retrain', 'restore', '--data', 'photos', '--store', store, ...run],
    );
    expect(code).to.equal(1);
    expect(stderr).to.match(/without its configuration; train one with fettle train restore/);
  });
});

describe('weights of an exported model', () => {
  const dims = [1, 3, 16, 24];
  const image = f32(dims, Array.from({ length: 3 * 16 * 24 }, createRng('image').next));
  async function outputOf(model: Uint8Array): Promise<Float32Array> {
    const session = await openSession(model, { threads: 1 });
    const { restored } = await session.run({ image });
    await session.release();
    return restored!.data as Float32Array;
  }

  it('come back, and exported again give the same pictures within 1e-6', async () => {
    const specs = restoreSpecs(config);
    const rng = createRng('weights');
    const weights = new Map([...fresh(5)].map(([name, values]) => [name, values.map((v) => v + 0.05 * rng.normal())]));
    const { model } = exportRestore(config, weights);
    const imported = importWeights(specs, initializersOf(model));
    expect([...imported.keys()]).to.deep.equal([...weights.keys()]);
    const [once, twice] = [await outputOf(model), await outputOf(exportRestore(config, imported).model)];
    const far = Math.max(...once.map((value, i) => Math.abs(value - image.data[i]!)));
    const apart = Math.max(...once.map((value, i) => Math.abs(value - twice[i]!)));
    expect(far, 'the model does something').to.be.above(0.01);
    expect(apart).to.be.below(1e-6);
  });

  it('of another architecture are refused', () => {
    const { model } = exportRestore(config, fresh(5));
    const other = restoreSpecs({ ...config, widths: [4, 12] });
    expect(() => importWeights(other, initializersOf(model))).to.throw(
      /importWeights: expected .* another architecture/,
    );
  });
});
