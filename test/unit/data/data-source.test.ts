import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { createDataLoaders, dataBlock } from '../../../training/data/block.node.ts';
import * as labels from '../../../training/data/labellers.ts';
import { batchPicture } from '../../../training/data/show.node.ts';
import { fromArrays, fromCsv, fromFiles, fromIdx } from '../../../training/data/sources.node.ts';
import {
  noSplit,
  splitByColumn,
  splitByFolder,
  splitByFunction,
  splitByIndices,
  splitRandomly,
} from '../../../training/data/splitters.ts';
import type { ArrayItem, BlockBatch } from '../../../training/data/types.ts';
import { encodePng } from '../../../training/pictures/image-io.node.ts';
import { randPad } from '../../../training/pictures/transforms/augment.ts';
import { failureOf, folderBlock, withLoaders, writeSet } from '../../helpers/blocks.ts';
import { dataFolder } from '../../helpers/data.ts';
import { plainImage, withFolder } from '../../helpers/photos.ts';

describe('data block: sources and splits', () => {
  it('split by place, function and chance; nothing gets lost', async () => {
    const items = Array.from({ length: 200 }, (_, i) => ({ name: `p${i}` }));
    for (const splitter of [
      splitRandomly(0.2, 4),
      splitByFunction(({ name }: { name: string }) => name.endsWith('7')),
      splitByIndices([3, 199]),
    ]) {
      const { train, valid } = splitter.split(items);
      expect(new Set([...train, ...valid]).size).to.equal(200);
      expect(valid.length).to.be.within(2, 60);
    }
    expect(() => splitByIndices([200]).split(items)).to.throw(/places 0..199, got 200/);
    expect(noSplit().split(items).train).to.have.length(200);
  });

  it('a splitter that holds out nothing says what there is', () => {
    const items = ['train/a', 'valid/b', 'c'].map((name) => ({ name }));
    const none = /expected items to hold out, got none of 3 \(the folders are train, valid\); use noSplit\(\)/;
    expect(() => splitByFolder('valdi').split(items)).to.throw(none);
    expect(() => splitByFolder().split([{ name: 'c' }])).to.throw(/no item is in a folder: the items are c/);
    expect(() => splitByFunction(({ name }) => name === 'd').split(items)).to.throw(
      /the items are c, train\/a, valid\/b/,
    );
    const many = Array.from({ length: 12 }, (_, i) => ({ name: `${10 + i}` }));
    expect(() => splitByFunction(() => false).split(many)).to.throw(/18, 19, ... \(12 in all\)/);
    const rows = ['no', 'nein'].map((part, i) => ({ name: `${i}`, path: '', row: { part } }));
    expect(() => splitByColumn('part').split(rows)).to.throw(/column 'part' has 'nein', 'no'/);
    expect(() => splitRandomly(0.2).split([{ name: 'c' }])).to.throw(/splitRandomly: .* got none of 1/);
    // Asked for in so many words.
    for (const splitter of [noSplit(), splitRandomly(0), splitByIndices([])])
      expect(splitter.split(items).valid).to.deep.equal([]);
  });

  it('names are unique, sizes and batches must work out', async () => {
    const block = folderBlock({
      get: () => [
        { name: 'a/x', path: 'x' },
        { name: 'a/x', path: 'y' },
      ],
    });
    expect(await failureOf(block.plan('.'))).to.match(/every name once, got 'a\/x' twice/);
    const { size: _, ...unsized } = folderBlock({
      get: fromFiles('/photos') as never,
      split: noSplit(),
      lastBatch: 'fill',
    }).options;
    expect(await failureOf(dataBlock(unsized).plan(['cat/1.png'] as never))).to.match(
      /expected size for pictures on disk/,
    );
    const two = folderBlock({ get: () => [{ name: 'a/x', path: 'x' }], split: noSplit() });
    expect(await failureOf(two.plan('.'))).to.match(/at least one batch of 4 training items, got 1/);
    const masks = dataBlock({
      get: fromArrays(),
      split: noSplit(),
      label: labels.mask(({ image }: ArrayItem) => image, { classes: ['a'] }),
      transforms: randPad(2, 'zeros'),
      batchSize: 1,
    });
    expect(await failureOf(masks.plan({ images: [plainImage(4, 4, 0)] }))).to.match(
      /ignoreId for masks padded with 'zeros'/,
    );
  });

  it('a table that is not there is an error that names it', async () => {
    const get = fromCsv({ folder: '/nowhere' });
    const error = await Promise.resolve(get('/nowhere/labels.csv')).catch((cause: unknown) => cause);
    expect(error).to.have.property('code', 'not-found');
    expect(String(error)).to.include('fromCsv: expected a table at /nowhere/labels.csv');
  });

  it('options that cannot be meant are refused by name, before any file is read', async () => {
    const folder = '/nowhere';
    const items = [1, 2, 3].map((i) => ({ name: `cat/${i}`, path: `${folder}/${i}` }));
    const block = (options: object) => folderBlock({ get: () => items, split: noSplit(), batchSize: 2, ...options });
    const wrong: readonly (readonly [object, RegExp])[] = [
      [{ batchSize: 2.5 }, /a whole batchSize of at least 1, got 2.5/],
      [{ validBatchSize: 0 }, /a whole validBatchSize of at least 1, got 0/],
      [{ size: 0 }, /a whole size of at least 1, got 0/],
      [{ size: -3 }, /a whole size of at least 1, got -3/],
      [{ size: { width: 8, height: 2.5 } }, /a whole height of size of at least 1, got 2.5/],
      [{ size: { width: 8 } }, /\{ width, height \} for size, got \{"width":8\}/],
      [{ presize: 0.5 }, /a whole presize of at least 1, got 0.5/],
      [{ resize: 'croop' }, /resize crop, squish, pad, got croop/],
      [{ lastBatch: 'kep' }, /lastBatch drop, keep, fill, got kep/],
      [{ normalise: 'imagnet' }, /normalise batch, imagenet, none or \{ mean, std \}, got imagnet/],
      [{ normalise: { mean: [0, 0, 0], std: [1, 0, 1] } }, /deviations above 0, got mean \[0,0,0\] and std \[1,0,1\]/],
      [{ channels: 4 }, /channels 1, 3, got 4/],
      [{ transforms: randPad(2, 'reflect' as 'reflection') }, /padding reflection, border, zeros, got reflect/],
      [{ batchSise: 2 }, /got batchSise; did you mean batchSize\?/],
    ];
    for (const [options, message] of wrong) expect(await failureOf(block(options).plan(folder))).to.match(message);
    const loaders: readonly (readonly [object, RegExp])[] = [
      [{ workers: 1.5 }, /a whole workers of at least 1, got 1.5/],
      [{ prefetch: 0 }, /a whole prefetch of at least 1, got 0/],
      [{ cacheBytes: -1 }, /cacheBytes of at least 0, got -1/],
      [{ worker: 2 }, /got worker; did you mean workers\?/],
    ];
    for (const [options, message] of loaders)
      expect(await failureOf(createDataLoaders(block({}), folder, options))).to.match(message);
  });

  it('MNIST from its idx files (FETTLE_DATA/mnist)', async function () {
    const folder = dataFolder('mnist');
    if (folder === undefined) return this.skip();
    const block = dataBlock({
      get: fromIdx(),
      split: splitByFolder(),
      label: labels.byLabel(),
      transforms: randPad(3, 'zeros'),
      batchSize: 128,
      lastBatch: 'drop',
    });
    await withLoaders(createDataLoaders(block, folder), async ({ train, valid, vocab }) => {
      expect([train.itemCount, valid.itemCount, train.batchesPerEpoch, valid.batchesPerEpoch]).to.deep.equal([
        60000, 10000, 468, 79,
      ]);
      expect(vocab).to.deep.equal([...'0123456789']);
      const { value } = await valid.epoch().next();
      expect([...(value as BlockBatch<'category'>).y.data.subarray(0, 10)]).to.deep.equal([
        7, 2, 1, 0, 4, 1, 4, 9, 5, 9,
      ]);
      let pixels = 0;
      for await (const { x } of valid.epoch()) for (const pixel of x.data) pixels += pixel;
      expect(pixels / (10000 * 784)).to.be.closeTo(0.1325, 1e-4); // the test set's known mean
    });
  });
});

describe('data block: summary and pictures', () => {
  it('walks one sample through every step', () =>
    withFolder(async (folder) => {
      await writeSet(folder);
      const lines = await folderBlock({ normalise: 'batch', presize: 30 }).summary(folder, () => {});
      expect(lines.map((line) => line.split(' ')[0])).to.deep.equal([
        'get',
        'split',
        'label',
        'read',
        'transform',
        'sample',
        'normalise',
        'batch',
      ]);
      const text = lines.join('\n');
      for (const part of [
        "12 items, the first 'train/cat/p0.png'",
        "folder 'valid': 9 for training, 3 for validation",
        '3 classes (cat, dog, emu)',
        "'train/cat/p0.png' -> cat (0)",
        'RGB 38x30',
        'rotate -10..10 p 0.75',
        'x float32[3,24,24]',
        'x float32[4,3,24,24]',
        '2 batches for training',
      ]) {
        expect(text).to.include(part);
      }
    }));

  it('names the step that fails, and the file', () =>
    withFolder(async (folder) => {
      await writeSet(folder);
      const fails = (options: Parameters<typeof folderBlock>[0], source = folder) =>
        failureOf(folderBlock(options).summary(source, () => {}));
      expect(await fails({}, join(folder, 'nowhere'))).to.match(/step 'get' failed on .*nowhere: listImages/);
      expect(await fails({ label: labels.byRegex(/^(x)/) })).to.match(/step 'label' failed .*train\/cat\/p0.png/);
      await writeFile(join(folder, 'train/cat/a.png'), 'no picture');
      expect(await fails({})).to.match(/step 'read' failed on .*train\/cat\/a.png: /);
    }));

  it('a batch is shown with its labels, denormalised', async () => {
    const white = { images: [plainImage(8, 8, 255), plainImage(8, 8, 0)], labels: ['white', 'dark'] };
    const block = (normalise: 'batch' | 'none') =>
      dataBlock({ get: fromArrays(), split: noSplit(), label: labels.byLabel(), batchSize: 2, normalise });
    const shown = (normalise: 'batch' | 'none', captions?: string[]) =>
      withLoaders(createDataLoaders(block(normalise), white), async (data) => {
        const { value } = await data.train.epoch().next();
        return batchPicture(value!, data, { columns: 2, ...(captions ? { captions } : {}) });
      });
    const grid = await shown('none');
    expect((await shown('batch')).data).to.deep.equal(grid.data);
    expect([grid.width, grid.height]).to.deep.equal([2 * 92 + 4, 88 + 4 + 18 + 4]);
    expect((await shown('none', ['', ''])).data).to.not.deep.equal(grid.data);
    expect((await encodePng(grid)).length).to.be.above(500);
  });
});
