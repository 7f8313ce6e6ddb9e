import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import { openStore } from '../../server/store/store.ts';
import { classifyContract } from '../../tasks/classify/contract.ts';
import { readClassifyFolder } from '../../tasks/classify/data.node.ts';
import { classifyInput, topLabels } from '../../tasks/classify/infer.ts';
import { classifyModelFacts, exportClassify } from '../../tasks/classify/net.ts';
import { type ClassifyRunConfig, classifyRunDefaults, runClassify } from '../../tasks/classify/recipe.node.ts';
import { scoreClassify } from '../../tasks/classify/score.node.ts';
import { specOf } from '../../tasks/config.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { failureOf } from '../helpers/blocks.ts';
import { fettle, fettleJson } from '../helpers/command.ts';
import { texturePhoto, textures, writeTextures } from '../helpers/textures.ts';

const open = (model: Uint8Array) => openSession(model, { threads: 1 });

/** Small enough for seconds. */
const config: ClassifyRunConfig = {
  ...classifyRunDefaults,
  model: { ...classifyRunDefaults.model, encoder: { kind: 'small', widths: [6, 8, 10], depths: [1, 1, 1] } },
  stages: [
    { epochs: 1, size: { width: 16, height: 16 } },
    { epochs: 1, size: { width: 24, height: 24 } },
  ],
  validSize: { width: 24, height: 20 },
  batchSize: 8,
  samplesPerEpoch: 40,
};

describe('a run of a classifier', function () {
  this.timeout(240_000);
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'fettle-classify-'));
    await writeTextures(join(dir, 'photos'), 8);
  });
  after(() => rm(dir, { recursive: true, force: true }));

  const options = async (out: string) => ({
    config,
    data: await readClassifyFolder(join(dir, 'photos')),
    out: join(dir, out),
    open,
    resume: false,
  });

  it('its exported model says of every held-out photo what was measured; pictures show the mistakes', async () => {
    const given = await options('whole');
    const result = await runClassify(given);
    const { classes, valid } = given.data;
    const exported = exportClassify(result.model, result.weights, { ...config.validSize, resize: 'crop', classes });
    const again = await scoreClassify(exported, valid, open);
    expect([...again.confusion.counts]).to.deep.equal([...result.confusion.counts]);
    expect(again.accuracy).to.equal(result.accuracy);
    expect(result.majority).to.be.closeTo(Math.max(...result.report.map((one) => one.support)) / valid.length, 1e-12);
    for (const name of ['confusion.png', 'top-losses.png'])
      expect((await sharp(await readFile(join(dir, 'whole', name))).metadata()).width, name).to.be.above(100);
    expect(classifyModelFacts(exported.model)).to.deep.equal({
      config: result.model,
      facts: { width: 24, height: 20, resize: 'crop', classes },
    });
  });

  it('stopped and resumed it ends in the same bits, from random weights and from given ones', async () => {
    const { weights } = await runClassify({ ...(await options('whole')), resume: true });
    for (const start of [undefined, { weights, head: false }]) {
      const given = async (out: string) => ({ ...(await options(out)), ...(start === undefined ? {} : { start }) });
      const kind = start === undefined ? 'random' : 'given';
      const whole = await runClassify(await given(`${kind}-whole`));
      const controller = new AbortController();
      let seen = 0;
      const stopper = {
        name: 'stopper',
        numbers: [],
        afterBatch: () => {
          seen += 1;
          if (seen === 7) controller.abort();
        },
      };
      const out = `${kind}-stopped`;
      const first = runClassify({ ...(await given(out)), callbacks: [stopper], signal: controller.signal });
      expect(await failureOf(first)).to.match(/got stopped .*--resume continues/);
      expect(await failureOf(runClassify(await given(out)))).to.match(/expected a new folder/);
      const resumed = await runClassify({ ...(await given(out)), resume: true });
      expect([...resumed.weights.keys()]).to.deep.equal([...whole.weights.keys()]);
      for (const [name, values] of whole.weights)
        expect(Buffer.from(values.buffer).equals(Buffer.from(resumed.weights.get(name)!.buffer)), name).to.equal(true);
    }
  });

  it('from given weights the encoder is theirs; the head only where it is asked for', async () => {
    const { weights } = await runClassify({ ...(await options('whole')), resume: true });
    const gentle = { ...config, lr: 1e-12, wd: 0, freezeEpochs: 1 };
    for (const head of [true, false]) {
      const result = await runClassify({
        ...(await options(`head-${head}`)),
        config: gentle,
        start: { weights, head },
      });
      const moved = (prefix: string): number =>
        Math.max(
          ...[...result.weights]
            .filter(([name]) => name.startsWith(prefix) && /weight$/.test(name))
            .map(([name, values]) => Math.max(...values.map((value, i) => Math.abs(value - weights.get(name)![i]!)))),
        );
      expect(moved('encoder.')).to.be.below(1e-6);
      if (head) expect(moved('head.')).to.be.below(1e-6);
      else expect(moved('head.')).to.be.above(0.01);
    }
  });

  it('is resumed with the same settings and photos only', async () => {
    const other = { ...(await options('whole')), config: { ...config, labelSmoothing: 0.3 }, resume: true };
    expect(await failureOf(runClassify(other))).to.match(/labelSmoothing/);
  });
});

describe('fettle retrain classify', function () {
  this.timeout(900_000);
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'fettle-retrain-classify-'));
    await writeTextures(join(dir, 'photos'), 60);
    await writeTextures(join(dir, 'two'), 12, ['dots', 'stripes']);
  });
  after(() => rm(dir, { recursive: true, force: true }));

  const retrain = (...more: readonly string[]): Promise<Record<string, unknown>> =>
    fettleJson(dir, 'retrain', 'classify', '--store', 'store', '--device', 'cpu', '--threads', '1', ...more);

  /** Share of new textures that the version which serves tells, as the server would. */
  async function served(): Promise<number> {
    const store = openStore({ zooDir: join(dir, 'no-zoo'), storeDir: join(dir, 'store') });
    const version = await store.resolve('classify');
    const spec = specOf(classifyContract, version.config);
    const session = await open(await store.read(version, 'model.onnx'));
    let right = 0;
    for (const [i, texture] of Array.from({ length: 20 }, () => textures)
      .flat()
      .entries()) {
      const image = classifyInput(texturePhoto(texture, 1000 + i), spec);
      const { probabilities } = await session.run({ image });
      const [first] = topLabels(probabilities as Tensor<'float32'>, spec.classes, 3);
      right += first!.label === texture ? 1 : 0;
    }
    await session.release();
    return right / 60;
  }

  it('classifies new photos after a training of seconds from random weights; other classes start from its encoder', async () => {
    const whole = ['--data', 'photos', '--size', '48', '--epochs', '24'];
    const first = await retrain(...whole, '--out', 'first');
    expect(first).to.include({ name: 'classify', version: 1, active: true });
    const after = first.after as Record<string, number>;
    expect(after.accuracy).to.be.above(0.85);
    expect(after.majority).to.be.below(0.5);
    expect(await served()).to.be.above(0.85);
    const store = openStore({ zooDir: join(dir, 'no-zoo'), storeDir: join(dir, 'store') });
    const { config: kept, dir: place } = await store.resolve('classify@1');
    expect(specOf(classifyContract, kept).classes).to.deep.equal(textures);
    expect(kept.metrics.heldOutAccuracy).to.equal(after.accuracy);
    const card = await readFile(join(place, 'card.md'), 'utf8');
    for (const part of ['From random weights', '--size 48', 'always saying the most frequent class has'])
      expect(card).to.include(part);

    const short = ['--samples', '32', '--batch', '8'];
    const second = await retrain('--data', 'two', '--epochs', '2', ...short, '--out', 'second');
    expect(second).to.include({ version: 2, active: true });
    expect(second.before).to.equal(undefined);
    const two = await store.resolve('classify@2');
    expect(specOf(classifyContract, two.config)).to.include({ width: 48, height: 48 });
    expect(await readFile(join(two.dir, 'card.md'), 'utf8')).to.include('From classify@1');

    // The same classes again, steps so large that all is forgotten: it is kept, and the better one continues to serve.
    await fettleJson(dir, 'models', 'use', 'classify@1', '--store', 'store');
    const third = await retrain('--data', 'photos', '--epochs', '1', '--lr', '3', ...short, '--out', 'third');
    expect(third.active).to.equal(false);
    expect((third.before as Record<string, number>).accuracy).to.be.closeTo(after.accuracy!, 1e-9);
    expect((await store.resolve('classify')).config.version).to.equal(1);
  });

  it('does not put a model to work that tells nothing', async () => {
    // The same photos in both classes: whatever it predicts, half of it is right.
    for (const label of ['one', 'other'])
      await cp(join(dir, 'two', 'dots'), join(dir, 'same', label), { recursive: true });
    const args = ['--data', 'same', '--store', 'useless', '--device', 'cpu', '--threads', '1', '--size', '48'];
    const short = ['--epochs', '1', '--samples', '16', '--batch', '8', '--out', 'useless-run'];
    const { code, stdout, stderr } = await fettle({ cwd: dir }, '--json', 'retrain', 'classify', ...args, ...short);
    expect(code, stderr).to.equal(0);
    const { active, after } = JSON.parse(stdout);
    expect([after.accuracy, after.majority, active]).to.deep.equal([0.5, 0.5, false]);
    expect(stderr).to.match(/classify@1 is no better than always saying the most frequent class and does not serve; /);
    expect(stderr).to.include('fettle models use classify@1 serves it all the same');
    const store = openStore({ zooDir: join(dir, 'no-zoo'), storeDir: join(dir, 'useless') });
    expect(await failureOf(store.resolve('classify'))).to.match(/got classify@1/);
    await fettleJson(dir, 'models', 'use', 'classify@1', '--store', 'useless');
    expect((await store.resolve('classify')).config.version).to.equal(1);
  });

  it('with --json training and lr-find print one line', async () => {
    const args = ['--data', 'two', '--device', 'cpu', '--threads', '1', '--size', '32', '--batch', '8'];
    const run = ['--epochs', '1', '--samples', '16', '--out', 'trained'];
    const { model, classes, rows } = await fettleJson(dir, 'train', 'classify', ...args, ...run);
    expect([model, classes]).to.deep.equal([join('trained', 'model.onnx'), ['dots', 'stripes']]);
    expect(rows).to.have.length(1);
    const { suggestion, lrs } = await fettleJson(dir, 'lr-find', 'classify', ...args, '--iterations', '20');
    expect(lrs).to.have.length.within(10, 20);
    expect(suggestion).to.be.within(1e-7, 10);
    expect((await sharp(join(dir, 'lr-find-classify.png')).metadata()).format).to.equal('png');
  });

  it('refuses what is of another task', async () => {
    const { code, stderr } = await fettle({ cwd: dir }, 'retrain', 'classify', '--data', 'photos', '--loss', 'l1');
    expect([code, stderr]).to.satisfy(([exit, text]: [number, string]) => exit !== 0 && /--loss: expected/.test(text));
  });
});
