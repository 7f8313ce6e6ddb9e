import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Image } from '../../../training/core/image.ts';
import { createDataLoaders, dataBlock } from '../../../training/data/block.node.ts';
import * as labels from '../../../training/data/labellers.ts';
import type { LoaderOptions } from '../../../training/data/loaders.node.ts';
import type { DataBlockOptions } from '../../../training/data/plan.ts';
import { fromArrays, fromCsv, fromFolder } from '../../../training/data/sources.node.ts';
import {
  noSplit,
  splitByColumn,
  splitByFolder,
  splitByFunction,
  splitByIndices,
} from '../../../training/data/splitters.ts';
import type { ArrayItem, FileItem, LabelKind } from '../../../training/data/types.ts';
import { getTransforms } from '../../../training/pictures/transforms/augment.ts';
import { channelStatistics } from '../../../training/pictures/transforms/normalise.ts';
import { collect, failureOf, folderBlock, kinds, withLoaders, writeSet } from '../../helpers/blocks.ts';
import { plainImage, wavyImage, withFolder, writePhoto } from '../../helpers/photos.ts';

describe('data block: loaders', () => {
  it('give the same bytes whatever the number of threads, from the middle of an epoch, and from memory', () =>
    withFolder(async (folder) => {
      await writeSet(folder, 16);
      const epochs = (options: LoaderOptions, block = folderBlock()) =>
        withLoaders(createDataLoaders(block, folder, { seed: 7, ...options }), async ({ train }) => ({
          first: await collect(train, 1),
          middle: await collect(train, 1, 2),
          other: await collect(train, 2),
        }));
      const one = await epochs({});
      expect(one.first).to.have.length(3);
      expect(one.middle).to.deep.equal(one.first.slice(2));
      expect(one.other).to.not.deep.equal(one.first);
      expect(await epochs({ workers: 3, prefetch: 5, cacheBytes: 1e6 })).to.deep.equal(one);
      expect((await epochs({ seed: 8 })).first).to.not.deep.equal(one.first);
      const memory = dataBlock({
        ...folderBlock().options,
        get: async () =>
          (await fromFolder()(folder)).map(
            ({ name }): ArrayItem => ({ name, image: wavyImage(40, 32, Number(/\d+/.exec(name))) }),
          ),
        split: splitByFolder(),
        label: labels.parentFolder<ArrayItem>(),
      });
      await withLoaders(createDataLoaders(memory, folder, { seed: 7 }), async ({ train }) => {
        expect(await collect(train, 1)).to.deep.equal(one.first);
      });
    }));

  it('training shows every item once in a new order; validation every item in its own; classes are sorted', () =>
    withFolder(async (folder) => {
      await writeSet(folder);
      await withLoaders(createDataLoaders(folderBlock(), folder), async ({ train, valid, vocab }) => {
        expect(vocab).to.deep.equal(kinds);
        const [a, b] = [await collect(train, 0), await collect(train, 1)];
        const names = (batches: typeof a): string[] => batches.flatMap(({ items }) => items);
        expect([train.itemCount, train.batchesPerEpoch, new Set(names(a)).size]).to.deep.equal([9, 2, 8]);
        expect(names(a)).to.not.deep.equal(names(b));
        for (const { items, y } of [...a, ...b]) {
          expect([...y].map((id) => kinds[id])).to.deep.equal(items.map((name) => name.split('/')[1]));
        }
        const held = await collect(valid);
        expect(names(held)).to.deep.equal(['valid/cat/p3.png', 'valid/dog/p7.png', 'valid/emu/p11.png']);
        expect(held[0]!.dims).to.equal('3,3,24,24 3');
        expect(await collect(valid, 5)).to.deep.equal(held);
      });
      const sizes = async (lastBatch: 'keep' | 'fill') =>
        withLoaders(createDataLoaders(folderBlock({ lastBatch }), folder), async ({ train }) =>
          (await collect(train)).map(({ items }) => items.length),
        );
      expect(await sizes('keep')).to.deep.equal([4, 4, 1]);
      expect(await sizes('fill')).to.deep.equal([4, 4, 4]);
    }));

  it('unreadable items are named and counted: replaced in training, omitted in validation', () =>
    withFolder(async (folder) => {
      await writeSet(folder);
      for (const name of ['train/cat/broken.png', 'valid/dog/broken.png'])
        await writeFile(join(folder, name), 'no picture');
      const told: string[] = [];
      const options = { onFailure: ({ name }: { readonly name: string }) => told.push(name) };
      await withLoaders(createDataLoaders(folderBlock({ batchSize: 5 }), folder, options), async ({ train, valid }) => {
        for (const epoch of [0, 1])
          expect((await collect(train, epoch)).map(({ items }) => items.length)).to.deep.equal([5, 5]);
        expect((await collect(valid)).flatMap(({ items }) => items)).to.have.length(3);
        expect(train.failures.map(({ name }) => name)).to.deep.equal(['train/cat/broken.png']);
        expect(valid.failures[0]!.reason).to.match(/unsupported|format/i);
        expect(told).to.deep.equal(['train/cat/broken.png', 'valid/dog/broken.png']);
      });
      const none = dataBlock({
        ...folderBlock().options,
        split: splitByFunction(({ name }: FileItem) => !/broken/.test(name)),
        label: { ...labels.parentFolder<FileItem>(), classes: kinds },
        lastBatch: 'fill',
      });
      await withLoaders(createDataLoaders(none, folder), async ({ train }) => {
        expect(await failureOf(collect(train))).to.match(
          /expected readable training items, got none of 2 \(\w+\/\w+\/broken.png/,
        );
      });
    }));

  it('unreadable items are named, too, when nobody waits for the batches that met them', () =>
    withFolder(async (folder) => {
      await writeSet(folder);
      const bad = Array.from({ length: 16 }, (_, i) => `train/cat/bad${String(i).padStart(2, '0')}.png`);
      for (const name of bad) await writeFile(join(folder, name), 'no picture');
      for (const workers of [1, 3]) {
        const told: string[] = [];
        const loaders = createDataLoaders(folderBlock({ normalise: 'batch' }), folder, {
          workers,
          onFailure: ({ name }) => told.push(name),
        });
        await withLoaders(loaders, async ({ train }) => {
          for await (const _ of train.epoch(0)) break; // as a learner does that looks at one batch
          for (const epoch of [0, 1, 2]) await collect(train, epoch);
          expect(train.failures.map(({ name }) => name).sort(), `${workers} workers`).to.deep.equal(bad);
          expect(told.toSorted()).to.deep.equal(bad);
        });
      }
    }));

  it('normalises by the first batch, by ImageNet, or by given numbers', () =>
    withFolder(async (folder) => {
      await writeSet(folder);
      const first = (normalise: DataBlockOptions<string, FileItem, 'category'>['normalise'] & {}) =>
        withLoaders(createDataLoaders(folderBlock({ normalise }), folder), async ({ train, statistics }) => {
          const { x } = (await collect(train))[0]!;
          return { x, statistics };
        });
      const plain = await first('none');
      const batch = await first('batch');
      const { mean, std } = channelStatistics({ dtype: 'float32', dims: [4, 3, 24, 24], data: batch.x });
      [...mean, ...std].forEach((value, i) => {
        expect(value).to.be.closeTo(i < 3 ? 0 : 1, 1e-4);
      });
      const given = await first({ mean: [0.5, 0.5, 0], std: [0.1, 0.2, 1] });
      const channel = (i: number): number => Math.floor(i / 576) % 3;
      const worst = given.x.map((value, i) =>
        Math.abs(value - (plain.x[i]! - [0.5, 0.5, 0][channel(i)]!) / [0.1, 0.2, 1][channel(i)]!),
      );
      expect(Math.max(...worst)).to.be.below(1e-5);
      expect((await first('imagenet')).statistics!.mean[0]).to.equal(0.485);
      expect(plain.statistics).to.equal(undefined);
    }));

  it('batch transforms come last, keyed by (seed, epoch, batch)', () =>
    withFolder(async (folder) => {
      await writeSet(folder);
      const marked = folderBlock({
        batchTransforms: [
          {
            name: 'mark',
            apply: (batch, rng) => {
              batch.x.data[0] = 100 + rng.next();
              return batch;
            },
          },
        ],
      });
      await withLoaders(createDataLoaders(marked, folder), async ({ train, valid }) => {
        const marks = (await collect(train, 3)).map(({ x }) => x[0]!);
        expect(Math.min(...marks)).to.be.at.least(100);
        expect(marks[0]).to.not.equal(marks[1]);
        expect((await collect(train, 3, 1)).map(({ x }) => x[0])).to.deep.equal(marks.slice(1));
        expect((await collect(valid))[0]!.x[0]).to.be.below(2);
      });
    }));
});

describe('data block: labels', () => {
  const pictures = Array.from({ length: 6 }, (_, i) => wavyImage(20, 20, i));

  it('a paired picture is transformed as x is, light included; without tfmY it stays', async () => {
    const pairs = (tfmY: boolean) =>
      dataBlock({
        get: fromArrays(),
        split: noSplit(),
        label: labels.pairedImage(({ image }: ArrayItem) => image),
        transforms: getTransforms({ pAffine: 1, pLighting: 1 }),
        tfmY,
        batchSize: 6,
      });
    const [same] = await withLoaders(createDataLoaders(pairs(true), { images: pictures }), ({ train }) =>
      collect(train),
    );
    expect(same!.y).to.deep.equal(same!.x);
    const [plain] = await withLoaders(createDataLoaders(pairs(false), { images: pictures }), ({ train }) =>
      collect(train),
    );
    const source = pictures[Number(plain!.items[0])]!;
    expect([...plain!.y.subarray(0, 400)].map((value) => Math.round(255 * value))).to.deep.equal(
      [...source.data].filter((_, i) => i % 3 === 0),
    );
  });

  it('masks are read from one-channel files, and wrong ones are named', () =>
    withFolder(async (folder) => {
      const ids: Image = {
        width: 10,
        height: 10,
        channels: 1,
        data: Uint8Array.from({ length: 100 }, (_, i) => (i % 10 < 5 ? 0 : 1)),
      };
      for (let i = 0; i < 4; i++) await writePhoto(folder, `x/p${i}.png`, wavyImage(20, 20, i));
      for (let i = 0; i < 3; i++)
        await writePhoto(folder, `y/p${i}.png`, i === 2 ? { ...ids, data: ids.data.map((id) => 9 * id) } : ids);
      await writePhoto(folder, 'y/p3.png', plainImage(10, 10, 1));
      const block = dataBlock({
        get: fromFolder(),
        split: noSplit(),
        label: labels.mask(({ path }: FileItem) => path.replace('/x/', '/y/'), { classes: ['left', 'right'] }),
        size: 20,
        batchSize: 4,
      });
      await withLoaders(createDataLoaders(block, join(folder, 'x')), async ({ train, vocab }) => {
        const [batch] = await collect(train);
        expect([vocab, batch!.dims]).to.deep.equal([['left', 'right'], '4,3,20,20 4,20,20']);
        const expected = Array.from({ length: 400 }, (_, i) => (i % 20 < 10 ? 0 : 1));
        for (let i = 0; i < 4; i++) expect([...batch!.y.subarray(400 * i, 400 * (i + 1))]).to.deep.equal(expected);
        const reasons = Object.fromEntries(train.failures.map(({ name, reason }) => [name, reason]));
        expect(reasons['p2.png']).to.match(/mask: expected ids 0..1, got 9/);
        expect(reasons['p3.png']).to.match(/one channel of 8-bit class ids in .*p3.png, got 3/);
      });
    }));

  it('from a table: a class, several classes, numbers, and the split', () =>
    withFolder(async (folder) => {
      const rows = [
        'p0,cat,red round,1.5,-2,false',
        'p1,dog,,2,0,0',
        'p2,cat,round,3,1,true',
        '"p3",emu,red,4,1,False',
      ];
      await writeFile(join(folder, 'labels.csv'), `name,kind,tags,u,v,is_valid\n${rows.join('\r\n')}\r\n`);
      for (let i = 0; i < 4; i++) await writePhoto(folder, `images/p${i}.png`, pictures[i]!);
      const base = {
        get: fromCsv({ folder: join(folder, 'images'), suffix: '.png' }),
        split: splitByColumn(),
        size: 20,
        batchSize: 3,
        lastBatch: 'keep' as const,
      };
      const labelled = async <K extends LabelKind>(label: DataBlockOptions<string, never, K>['label'] | object) => {
        const block = dataBlock({ ...base, label: label as ReturnType<typeof labels.byColumn> });
        return withLoaders(createDataLoaders(block, join(folder, 'labels.csv')), async ({ train, valid, vocab }) => {
          const [batch] = await collect(train);
          const size = batch!.y.length / 3;
          const byName = batch!.items.map(
            (name, i) => [name, [...batch!.y.subarray(i * size, (i + 1) * size)]] as const,
          );
          return { vocab, byName: Object.fromEntries(byName), valid: (await collect(valid))[0]!.items };
        });
      };
      const kind = await labelled(labels.byColumn('kind'));
      expect(kind).to.deep.equal({
        vocab: kinds,
        byName: { 'p0.png': [0], 'p1.png': [1], 'p3.png': [2] },
        valid: ['p2.png'],
      });
      const tags = await labelled(labels.classesInColumn('tags'));
      expect(tags.vocab).to.deep.equal(['red', 'round']);
      expect(tags.byName).to.deep.equal({ 'p0.png': [1, 1], 'p1.png': [0, 0], 'p3.png': [1, 0] });
      expect((await labelled(labels.numbersInColumns('u', 'v'))).byName).to.deep.equal({
        'p0.png': [1.5, -2],
        'p1.png': [2, 0],
        'p3.png': [4, 1],
      });
      expect(await failureOf(labelled(labels.byColumn('colour')))).to.match(
        /column 'colour' for 'p0.png', got name, kind/,
      );
      expect(await failureOf(labelled(labels.numbersInColumns('kind')))).to.match(
        /number in 'kind' for 'p0.png', got 'cat'/,
      );
    }));

  it('by folder, function and pattern; a class that training never saw is an error', async () => {
    expect(labels.parentFolder().label({ name: 'a/b/c.png' })).to.equal('b');
    expect(() => labels.parentFolder().label({ name: 'c.png' })).to.throw(/folder named after its class, got 'c.png'/);
    const breed = labels.byRegex(/^(\w+)_\d+/g);
    expect(['pug_1.jpg', 'pug_2.jpg'].map((name) => breed.label({ name }))).to.deep.equal(['pug', 'pug']);
    expect(() => breed.label({ name: '1.jpg' })).to.throw(/got '1.jpg'/);
    expect(labels.byFunction((n: number) => `n${n}`).label(3)).to.equal('n3');
    expect(labels.numbersBy((n: number) => n).label(3)).to.deep.equal([3]);
    const source = { images: pictures, labels: ['a', 'a', 'b', 'b', 'a', 'c'] };
    const block = (label = labels.byLabel()) =>
      dataBlock({ get: fromArrays(), split: splitByIndices([5]), label, batchSize: 2 });
    expect(await failureOf(block().plan(source))).to.match(/one of 2 known classes for '5', got 'c'/);
    expect(
      (await block({ ...labels.byLabel(), classes: ['a', 'b', 'c'] }).plan(source)).valid[0]!.target,
    ).to.deep.equal([2]);
  });
});
