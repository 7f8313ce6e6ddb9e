import { appendFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { licenceNote, licenceOf, originOf } from '../../scripts/cli/origin.ts';
import { openStore } from '../../server/store/store.ts';
import { readSegmentFolder } from '../../tasks/segment/folder.node.ts';
import { exportSegment, segmentNet, segmentNetDefaults } from '../../tasks/segment/net.ts';
import { runSegment, type SegmentRunConfig } from '../../tasks/segment/recipe.node.ts';
import { fitToPhotos, segmentRetrainDefaults } from '../../tasks/segment/retrain.node.ts';
import { scoreOf } from '../../tasks/segment/score.node.ts';
import { segmentClassesOf, segmentConfigOf, startWeights } from '../../tasks/segment/start.ts';
import { hasClasses } from '../../tasks/segment/train.node.ts';
import { createRng } from '../../training/core/rng.ts';
import { createScope, initialWeights, type Weights } from '../../training/nn/scope.ts';
import { Graph } from '../../training/onnx/graph.ts';
import { decodeModel, encodeModel } from '../../training/onnx/schema.ts';
import { initializersOf } from '../../training/onnx/weights.ts';
import { encodePng } from '../../training/pictures/image-io.node.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { failureOf } from '../helpers/blocks.ts';
import { fettle, fettleJson } from '../helpers/command.ts';
import { withFolder } from '../helpers/photos.ts';

const [width, height] = [32, 24];

/** Bright discs on dark ground, in black and white masks: no table of classes. */
async function writeDiscs(folder: string, count: number): Promise<void> {
  for (const part of ['images', 'masks']) await mkdir(join(folder, part), { recursive: true });
  for (let i = 0; i < count; i++) {
    const rng = createRng(i, 'disc');
    const [x0, y0, radius] = [8 + 16 * rng.next(), 6 + 12 * rng.next(), 4 + 4 * rng.next()];
    const inside = Array.from({ length: width * height }, (_, at) => {
      return Math.hypot((at % width) - x0, Math.floor(at / width) - y0) < radius;
    });
    const photo = Uint8Array.from({ length: 3 * width * height }, (_, at) => {
      return (inside[Math.floor(at / 3)] ? 150 : 60) + 40 * rng.next();
    });
    const mask = Uint8Array.from(inside, (one) => (one ? 255 : 0));
    await writeFile(join(folder, 'images', `${i}.png`), await encodePng({ width, height, channels: 3, data: photo }));
    await writeFile(join(folder, 'masks', `${i}.png`), await encodePng({ width, height, channels: 1, data: mask }));
  }
}

const net = (classes: number) => ({
  ...segmentNetDefaults,
  encoder: { widths: [6, 8, 10], depths: [1, 1, 1] },
  classes,
});

/** First weights of the small net. */
function fresh(classes: number, seed: number) {
  const scope = createScope(new Graph('segment'), { training: false });
  segmentNet(scope, scope.graph.input('image', 'float32', [1, 3, height, width]), net(classes));
  return { specs: scope.specs, weights: initialWeights(scope.specs, seed) };
}

const named = (...names: readonly string[]) => names.map((name, i) => ({ name, color: [i, 40 * i, 90] as const }));

/** A store whose segment@1 is an untrained net of these classes. */
async function publish(store: string, names: readonly string[], licence: string): Promise<void> {
  const facts = { classes: named(...names), shortSide: height };
  const { model, spec } = exportSegment(net(names.length), fresh(names.length, 3).weights, facts);
  await openStore({ zooDir: join(store, 'none'), storeDir: store }).register(
    'segment',
    { 'model.onnx': model, 'card.md': '# test', LICENSE: licence },
    {
      name: 'segment',
      task: 'segment',
      createdAt: new Date().toISOString(),
      description: 'test',
      segment: spec,
      metrics: {},
    },
  );
}

describe('the licence of what a retraining starts from', () => {
  it('for research only is found beside a file, and where the file is a version of the store', () =>
    withFolder(async (folder) => {
      const store = openStore({ zooDir: join(folder, 'none'), storeDir: join(folder, 'store') });
      await publish(join(folder, 'store'), ['a', 'b'], 'Research only.\n');
      const [published, copy] = [join(folder, 'store/segment/1/model.onnx'), join(folder, 'copy.onnx')];
      await writeFile(copy, await readFile(published));
      const licence = async (path: string) => licenceOf(await originOf(store, path, 'segment'), 'data');
      for (const path of [published, copy]) expect(await licence(path), path).to.match(/^Research only\./);
      // Other bytes, of which the store knows nothing.
      const facts = { classes: named('a', 'b'), shortSide: height };
      await writeFile(copy, exportSegment(net(2), fresh(2, 9).weights, facts).model);
      expect(await licence(copy)).to.match(/^Fine-tuned from .*copy\.onnx/);
      await writeFile(join(folder, 'LICENSE'), 'Apache License');
      expect(await licence(copy)).to.match(/^Fine-tuned from .*Apache License/s);
      await writeFile(join(folder, 'LICENSE'), 'research only\n');
      const origin = await originOf(store, copy, 'segment');
      expect(licenceOf(origin, 'data')).to.match(/^Research only\./);
      expect(licenceNote(origin)).to.include('Research only');
    }));
});

describe('the classes of what a retraining starts from', () => {
  it('are known of a file too, so that the last layer is kept where they are the same', () =>
    withFolder(async (folder) => {
      const store = openStore({ zooDir: join(folder, 'none'), storeDir: join(folder, 'store') });
      await publish(join(folder, 'store'), ['a', 'b'], 'Apache');
      const version = await originOf(store, 'segment@1', 'segment');
      const file = await originOf(store, join(folder, 'store/segment/1/model.onnx'), 'segment');
      for (const origin of [version, file]) {
        expect(await hasClasses(origin, named('a', 'b'))).to.equal(true);
        for (const others of [named('b', 'a'), named('a'), named('a', 'b', 'c')])
          expect(await hasClasses(origin, others)).to.equal(false);
      }
      // Files of before: the store alone knows.
      const proto = decodeModel(file.bytes);
      const metadataProps = proto.metadataProps.filter(({ key }) => key !== 'classes');
      const bytes = encodeModel({ ...proto, metadataProps });
      expect(await hasClasses({ ...version, bytes }, named('a', 'b'))).to.equal(true);
      expect(await hasClasses({ ...file, bytes }, named('a', 'b'))).to.equal(false);
    }));
});

const run = [
  '--device',
  'cpu',
  '--threads',
  '1',
  '--size',
  '32',
  '--batch',
  '4',
  '--epochs',
  '3',
  '--lr',
  '0.02',
] as const;

interface Outcome {
  readonly version: number;
  readonly active: boolean;
  readonly before?: { readonly meanIou: number };
  readonly after: { readonly meanIou: number; readonly accuracy: number };
  readonly dir: string;
}

describe('fettle retrain segment', function () {
  this.timeout(600_000);

  it('makes a model of other classes, keeps a licence for research alone, and then continues from it', () =>
    withFolder(async (folder) => {
      await writeDiscs(join(folder, 'data'), 16);
      const store = join(folder, 'store');
      await publish(store, ['a', 'b', 'c'], 'Research only.\n');
      await openStore({ zooDir: join(store, 'none'), storeDir: store }).use('segment', 1);
      const retrain = async (...more: readonly string[]) =>
        (await fettleJson(
          folder,
          'retrain',
          'segment',
          '--data',
          'data',
          '--store',
          store,
          ...run,
          ...more,
        )) as unknown as Outcome;

      const first = await retrain('--out', 'run');
      expect([first.version, first.active, first.before]).to.deep.equal([2, true, undefined]);
      expect(first.after.meanIou).to.be.above(0.8);
      const config = JSON.parse(await readFile(join(first.dir, 'config.json'), 'utf8'));
      expect(config.segment.classes.map(({ name }: { name: string }) => name)).to.deep.equal(['background', 'object']);
      expect(config.metrics.heldOutMeanIou).to.equal(first.after.meanIou);
      expect(await readFile(join(first.dir, 'LICENSE'), 'utf8')).to.match(
        /^Research only\.\n\nFine-tuned from segment@1/,
      );
      const card = await readFile(join(first.dir, 'card.md'), 'utf8');
      expect(card).to.include('From segment@1').and.to.include('Research only').and.to.include('IoU object');
      expect(await readdir(join(folder, 'run'))).to.include.members([
        ...[
          'all',
          'confusion.png',
          'epoch-002.png',
          'head',
          'log.csv',
          'model.onnx',
          'start.safetensors',
          'top-losses.png',
        ],
      ]);
      const [header] = (await readFile(join(folder, 'run', 'log.csv'), 'utf8')).split('\n');
      expect(header).to.include('acc_camvid,iou,dice,iou_background,iou_object');

      // The same classes: the last layer goes over too, and a step so large that it forgets does not serve.
      const worse = await retrain('--out', 'worse', '--lr', '0.5', '--epochs', '2');
      expect(worse.before!.meanIou).to.equal(first.after.meanIou);
      expect(worse.after.meanIou).to.be.below(first.after.meanIou);
      expect([worse.version, worse.active]).to.deep.equal([3, false]);
      expect(await readFile(join(worse.dir, 'LICENSE'), 'utf8')).to.match(/^Research only\./);

      const none = await retrain('--out', 'none', '--from', 'none', '--epochs', '1', '--class-weights', '0');
      expect(none.version).to.equal(4);
      expect(await readFile(join(none.dir, 'LICENSE'), 'utf8')).to.match(/^Trained from random weights/);
    }));

  it('refuses options of other tasks, and models that are not ours', () =>
    withFolder(async (folder) => {
      await writeDiscs(join(folder, 'data'), 4);
      const args = ['retrain', 'segment', '--data', 'data', '--store', 'store', '--out', 'run'];
      const loss = await fettle({ cwd: folder }, ...args, '--loss', 'l1');
      expect([loss.code, loss.stderr]).to.satisfy(
        ([code, text]: [number, string]) => code === 1 && /--loss: expected the task restore/.test(text),
      );
      const other = await fettle({ cwd: folder }, ...args, '--from', 'restore@1');
      expect(other.stderr).to.match(/expected a model of the task segment, got restore@1/);
      const weights = await fettle({ cwd: folder }, ...args, '--class-weights', '2');
      expect(weights.stderr).to.match(/--class-weights: expected a number 0\.\.1, got 2/);
    }));
});

describe('what a run of segmentation starts from', () => {
  const { specs, weights } = fresh(3, 1);
  const other = fresh(3, 2).weights;

  it('is all of an exported model, or all but its last layer', () => {
    const { model } = exportSegment(net(3), weights, { classes: named('a', 'b', 'c'), shortSide: height });
    expect(segmentConfigOf(model)).to.deep.equal(net(3));
    expect(segmentClassesOf(model)).to.deep.equal(['a', 'b', 'c']);
    const before = encodeModel({
      ...decodeModel(model),
      metadataProps: decodeModel(model).metadataProps.filter(({ key }) => key !== 'classes'),
    });
    expect([segmentClassesOf(before), segmentConfigOf(before)]).to.deep.equal([undefined, net(3)]);
    const exported = initializersOf(model);
    const distance = (one: Weights, name: string): number =>
      Math.max(...one.get(name)!.map((value, i) => Math.abs(value - weights.get(name)![i]!)));
    const whole = startWeights(specs, exported, { fresh: other, keepHead: true });
    for (const { name } of specs) expect(distance(whole, name), name).to.be.below(1e-6);
    const headless = startWeights(specs, exported, { fresh: other, keepHead: false });
    for (const { name } of specs) {
      if (!name.startsWith('head.')) expect(distance(headless, name), name).to.be.below(1e-6);
      else expect([...headless.get(name)!], name).to.deep.equal([...other.get(name)!]);
    }
    expect(specs.some(({ name }) => name.startsWith('head.'))).to.equal(true);
  });

  it('of another architecture is refused', () => {
    const wide = { ...net(3), encoder: { widths: [6, 8, 12], depths: [1, 1, 1] } };
    const scope = createScope(new Graph('segment'), { training: false });
    segmentNet(scope, scope.graph.input('image', 'float32', [1, 3, height, width]), wide);
    expect(() => startWeights(scope.specs, weights, { fresh: other, keepHead: true })).to.throw(/another architecture/);
  });

  it('is not weighed by what is held out; classes that never occur are reported', () =>
    withFolder(async (folder) => {
      for (const part of ['images', 'masks']) await mkdir(join(folder, part));
      // Ids of the pixels: halves of 0 and 1 to train on, 1 and a little of 2 held out.
      const masks = { a: [0, 1], b: [0, 1], c: [1, 1, 1, 2] };
      for (const [name, ids] of Object.entries(masks)) {
        const data = Uint8Array.from({ length: width * height }, (_, i) => ids[i % ids.length]!);
        for (const part of ['images', 'masks'])
          await writeFile(join(folder, part, `${name}.png`), await encodePng({ width, height, channels: 1, data }));
        const list = name === 'c' ? 'val.txt' : 'train.txt';
        await appendFile(join(folder, list), `images/${name}.png masks/${name}.png\n`);
      }
      const table = ['zero', 'one', 'two', 'three'].map((name, id) => ({ id, name }));
      await writeFile(join(folder, 'classes.json'), JSON.stringify({ classes: table }));
      const data = await readSegmentFolder(folder);
      const size = { width, height };
      const config: SegmentRunConfig = {
        ...(await fitToPhotos(segmentRetrainDefaults, data)),
        model: net(4),
        stages: [{ epochs: 1, size }],
        validSize: size,
        balance: 1,
      };
      const notes: string[] = [];
      const stopped = runSegment({
        ...{ config, data, out: join(folder, 'run'), resume: false, onNote: (text: string) => notes.push(text) },
        open: (model) => openSession(model, { threads: 1 }),
        signal: AbortSignal.abort(),
      });
      expect(await failureOf(stopped)).to.match(/--resume continues/);
      expect(notes).to.include('never in the masks to train on, so not learnt: two, three');
      expect(notes).to.include('never in the masks held out, so not measured: zero, three');
      expect(notes.join('\n')).to.include('class weights 1.00 1.00 1.00 1.00');
    }));

  it('is kept in its folder: a run is resumed without the file that it started from', () =>
    withFolder(async (folder) => {
      await writeDiscs(join(folder, 'data'), 10);
      const data = await readSegmentFolder(join(folder, 'data'));
      const size = { width, height };
      const config: SegmentRunConfig = {
        ...(await fitToPhotos(segmentRetrainDefaults, data)),
        model: net(2),
        stages: [{ epochs: 3, size }],
        validSize: size,
        passes: 2,
        fineTune: { freezeEpochs: 1, lrMult: 3 },
      };
      const options = { config, data, open: (model: Uint8Array) => openSession(model, { threads: 1 }) };
      const start = fresh(2, 5).weights;
      const whole = await runSegment({ ...options, start, out: join(folder, 'whole'), resume: false });
      for (const batches of [1, 4]) {
        const out = join(folder, `stopped-${batches}`);
        const controller = new AbortController();
        let seen = 0;
        const afterBatch = (): void => {
          seen += 1;
          if (seen === batches) controller.abort();
        };
        const stopper = { name: 'stopper', numbers: [], afterBatch };
        const stopped = runSegment({
          ...options,
          start,
          out,
          resume: false,
          callbacks: [stopper],
          signal: controller.signal,
        });
        expect(await failureOf(stopped)).to.match(/--resume continues/);
        const resumed = await runSegment({ ...options, out, resume: true });
        expect(resumed.best.metrics).to.deep.equal(whole.best.metrics);
        for (const [name, values] of whole.weights)
          expect([...resumed.weights.get(name)!], name).to.deep.equal([...values]);
      }
      const changed = runSegment({ ...options, start: fresh(2, 6).weights, out: join(folder, 'whole'), resume: true });
      expect(await failureOf(changed)).to.match(/startedFrom/);
    })).timeout(600_000);
});

describe('settings and scores of retraining', () => {
  it('sizes have the shape of most photos, batches are not larger than the set, epochs are some tens of updates', () =>
    withFolder(async (folder) => {
      await mkdir(join(folder, 'masks'), { recursive: true });
      await mkdir(join(folder, 'images'));
      for (const [i, [wide, high]] of [
        [40, 80],
        [40, 80],
        [80, 40],
      ].entries()) {
        const data = new Uint8Array(wide! * high!);
        const image = { width: wide!, height: high!, channels: 1 as const, data: data.fill(255) };
        for (const part of ['images', 'masks']) await writeFile(join(folder, part, `${i}.png`), await encodePng(image));
      }
      const all = await readSegmentFolder(folder);
      const data = { ...all, train: [...all.train, ...all.valid] };
      const { stages, validSize, batchSize, passes } = await fitToPhotos(segmentRetrainDefaults, data);
      const short = segmentRetrainDefaults.validSize.height;
      expect(validSize).to.deep.equal({ width: short, height: 2 * short });
      for (const { size } of stages) expect(size.height).to.equal(2 * size.width);
      expect(batchSize).to.equal(3);
      expect(passes).to.be.within(10, 200);
    }));

  it('accuracy and IoU from counts made by hand; a class that does not occur counts nowhere', () => {
    // Rows: labelled 0 (5 right, 1 said to be 1), labelled 1 (2 said to be 0, 4 right), no 2.
    const counts = Float64Array.of(5, 1, 0, 2, 4, 0, 0, 0, 0);
    const { accuracy, meanIou, iou } = scoreOf({ classes: 3, counts });
    expect(accuracy).to.equal(9 / 12);
    expect(iou.slice(0, 2)).to.deep.equal([5 / 8, 4 / 7]);
    expect(iou[2]).to.satisfy(Number.isNaN);
    expect(meanIou).to.be.closeTo((5 / 8 + 4 / 7) / 2, 1e-12);
  });
});
