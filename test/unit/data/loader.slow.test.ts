import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { validationPair } from '../../../tasks/restore/held-out.node.ts';
import type { Tensor } from '../../../training/core/tensor.ts';
import { createDataLoaders, dataBlock } from '../../../training/data/block.node.ts';
import type { DamageSpec, Recipe } from '../../../training/data/damage-spec.ts';
import { damaged } from '../../../training/data/labellers.ts';
import type { LoaderOptions } from '../../../training/data/loaders.node.ts';
import { showSamples } from '../../../training/data/show.node.ts';
import { noSplit, splitByFunction } from '../../../training/data/splitters.ts';
import type { BlockBatch } from '../../../training/data/types.ts';
import { drawNumber } from '../../../training/pictures/damage/draw-digits.ts';
import { decodeRgb } from '../../../training/pictures/decode.node.ts';
import { resizeImage } from '../../../training/pictures/image-io.node.ts';
import { type ImageItem, listImages, listPairs, type PairItem } from '../../../training/pictures/items.node.ts';
import { cachedDecoder } from '../../../training/pictures/photo-cache.ts';
import { plainImage, wavyImage, withFolder, writePhoto } from '../../helpers/photos.ts';

/** A folder of `count` textured photos, 90 x 72 or 72 x 90. */
async function writePhotos(folder: string, count: number): Promise<ImageItem[]> {
  for (let i = 0; i < count; i++) {
    await writePhoto(folder, `photo-${i}.jpg`, i % 2 ? wavyImage(72, 90, i) : wavyImage(90, 72, i));
  }
  return listImages(folder);
}

/** A batch's bytes, copied: its tensors are reused after the next step. */
const copyOf = ({ x, y, items }: BlockBatch<'damaged'>) => ({ x: x.data.slice(), y: y.data.slice(), items });

interface Options extends Partial<DamageSpec>, LoaderOptions {
  readonly items: readonly (ImageItem | PairItem)[];
  readonly size: number;
  readonly batchSize: number;
  readonly samplesPerEpoch?: number;
}

/** Loaders of items that are damaged on the fly, or have their copies; an epoch is at least all items. */
function openLoaders({ items, size, batchSize, samplesPerEpoch = items.length, ...options }: Options) {
  const { seed, workers, prefetch, cacheBytes, onFailure, ...damage } = options;
  const given = Object.entries({ seed, workers, prefetch, cacheBytes, onFailure });
  const block = dataBlock({
    get: (all: readonly (ImageItem | PairItem)[]) => all,
    split: noSplit(),
    label: damaged<ImageItem | PairItem>({
      ...damage,
      copyOf: (item) => ('damagedPath' in item ? item.damagedPath : undefined),
    }),
    size,
    batchSize,
    samplesPerEpoch,
  });
  const known = given.filter(([, value]) => value !== undefined);
  return createDataLoaders(block, items, Object.fromEntries(known) as LoaderOptions);
}

/** Every batch of an epoch, copied. */
async function collect(options: Options, epoch = 0, fromBatch = 0) {
  const { train, close } = await openLoaders(options);
  const batches = [];
  try {
    for await (const batch of train.epoch(epoch, { fromBatch })) batches.push(copyOf(batch));
    return { batches, failures: train.failures, batchesPerEpoch: train.batchesPerEpoch };
  } finally {
    await close();
  }
}

const only = (damage: string, scale: Recipe['scale']): readonly Recipe[] => [{ weight: 1, damage, scale }];

/** Mean squared difference of x shifted by (dx, dy) and y, over the middle of the first channel. */
function shiftedError(x: Float32Array, y: Float32Array, size: number, dx: number, dy: number): number {
  let sum = 0;
  for (let r = 4; r < size - 4; r++) {
    for (let c = 4; c < size - 4; c++) sum += (x[(r + dy) * size + c + dx]! - y[r * size + c]!) ** 2;
  }
  return sum;
}

const base = { size: 32, batchSize: 4, shortSide: { min: 40, max: 64 }, seed: 11 };

describe('loader of damaged pictures', () => {
  it('gives the same bytes with one thread and with three, and from the middle of an epoch', () =>
    withFolder(async (folder) => {
      const items = await writePhotos(folder, 10);
      const one = await collect({ ...base, items });
      expect(one.batchesPerEpoch).to.equal(3);
      expect((await collect({ ...base, items, workers: 3, prefetch: 5 })).batches).to.deep.equal(one.batches);
      expect((await collect({ ...base, items, workers: 2 }, 0, 2)).batches).to.deep.equal(one.batches.slice(2));
      expect((await collect({ ...base, items, seed: 12 })).batches[0]).to.not.deep.equal(one.batches[0]);
      expect((await collect({ ...base, items }, 1)).batches[0]).to.not.deep.equal(one.batches[0]);
    }));

  it('shows every photo once before any comes again, in full batches of values 0..1', () =>
    withFolder(async (folder) => {
      const items = await writePhotos(folder, 6);
      const { batches } = await collect({ ...base, items, samplesPerEpoch: 11 });
      const names = batches.flatMap((batch) => batch.items);
      expect(names).to.have.length(12);
      expect(new Set(names.slice(0, 6)).size).to.equal(6);
      expect(new Set(names.slice(6)).size).to.equal(6);
      for (const { x, y } of batches) {
        expect(x).to.have.length(4 * 3 * 32 * 32);
        expect([Math.min(...x, ...y) >= 0, Math.max(...x, ...y) <= 1]).to.deep.equal([true, true]);
      }
    }));

  it('y is the photo, mirrored or not, at the size asked for; undamaged x equals it', () =>
    withFolder(async (folder) => {
      const photo = wavyImage(80, 80, 3);
      await writePhoto(folder, 'square.png', photo);
      const items = await listImages(folder);
      const options = {
        ...base,
        items,
        batchSize: 1,
        size: 48,
        shortSide: { min: 48, max: 48 },
        recipes: only('none', 1),
      };
      for (const flip of [0, 1]) {
        const [batch] = (await collect({ ...options, flip })).batches;
        const size = { width: 48, height: 48 };
        const expected = await resizeImage(photo, size, { kernel: 'linear', flip: flip === 1 });
        const errors = batch!.y.map((value, i) =>
          Math.abs(value - expected.data[3 * (i % 2304) + Math.floor(i / 2304)]! / 255),
        );
        expect(Math.max(...errors)).to.be.lessThan(1e-6);
        expect(batch!.x).to.deep.equal(batch!.y);
      }
    }));

  it('an enlarged x lies on y to the pixel', () =>
    withFolder(async (folder) => {
      const items = await writePhotos(folder, 8);
      const { batches } = await collect({ ...base, items, recipes: only('noise:sigma=0', 2) });
      const shifts = [-2, -1, 0, 1, 2].flatMap((dx) => [-2, -1, 0, 1, 2].map((dy) => [dx, dy] as const));
      for (const { x, y } of batches) {
        for (let sample = 0; sample < 4; sample++) {
          const part = (planes: Float32Array): Float32Array => planes.subarray(sample * 3072, (sample + 1) * 3072);
          const errors = shifts.map(([dx, dy]) => shiftedError(part(x), part(y), 32, dx, dy));
          expect(shifts[errors.indexOf(Math.min(...errors))]).to.deep.equal([0, 0]);
        }
      }
    }));

  it('mirrors before it damages: numbers stay readable', () =>
    withFolder(async (folder) => {
      await writePhoto(folder, 'black.png', plainImage(64, 64, 0));
      const options = {
        ...base,
        items: await listImages(folder),
        batchSize: 1,
        size: 64,
        shortSide: { min: 64, max: 64 },
      };
      const { batches } = await collect({ ...options, flip: 1, recipes: only('number-text:value=47', 1) });
      const red = [...batches[0]!.x.subarray(0, 64 * 64)].map((value) => Math.round(value * 255));
      const look = { height: 10, thickness: 0.13, color: [255, 255, 255] as const };
      const places = Array.from({ length: 32 * 32 }, (_, i) => [i % 32, Math.floor(i / 32)] as const);
      const drawn = places.filter(([left, top]) => {
        const { data } = drawNumber(plainImage(64, 64, 0), 47, { ...look, left, top });
        return red.every((value, i) => value === data[3 * i]);
      });
      expect(drawn).to.have.length(1);
    }));

  it('text bias crops more often where numbers are', () =>
    withFolder(async (folder) => {
      await writePhoto(folder, 'black.png', plainImage(96, 96, 0));
      const options = { ...base, items: await listImages(folder), size: 32, shortSide: { min: 96, max: 96 } };
      const inked = async (textBias: number): Promise<number> => {
        const recipes = only('number-text', 1);
        const { batches } = await collect({ ...options, textBias, recipes, batchSize: 1, samplesPerEpoch: 60 });
        return batches.filter(({ x }) => x.some((value) => value > 0)).length;
      };
      expect(await inked(1)).to.be.greaterThan(1.3 * (await inked(0)));
    }));

  it('replaces unreadable files by the next readable one and names each once', () =>
    withFolder(async (folder) => {
      await writePhotos(folder, 5);
      await writeFile(join(folder, 'photo-2b.jpg'), 'not a picture');
      await writePhoto(folder, 'photo-9.png', wavyImage(20, 80, 1));
      const items = await listImages(folder);
      const reported: string[] = [];
      const onFailure = ({ name }: { name: string }): void => void reported.push(name);
      const one = await collect({ ...base, items, samplesPerEpoch: 28, onFailure });
      expect(reported.sort()).to.deep.equal(['photo-2b.jpg', 'photo-9.png']);
      expect(one.failures.find(({ name }) => name === 'photo-9.png')?.reason).to.include(
        'photo: expected a short side of at least 32 px, got 20',
      );
      const names = one.batches.flatMap((batch) => batch.items);
      expect(names.filter((name) => name === 'photo-3.jpg')).to.have.length(8);
      expect(names.filter((name) => name === 'photo-0.jpg')).to.have.length(8);
      expect(names.filter((name) => name === 'photo-1.jpg')).to.have.length(4);
      expect((await collect({ ...base, items, samplesPerEpoch: 28, workers: 3 })).batches).to.deep.equal(one.batches);
    }));

  it('says so when no file can be read', () =>
    withFolder(async (folder) => {
      await writeFile(join(folder, 'a.jpg'), 'no');
      const error = await collect({ ...base, items: await listImages(folder) }).catch((e: Error) => e);
      expect(error).to.be.an('error').with.property('message').that.includes('got none of 1 (a.jpg: ');
      expect(error).to.have.property('code', 'bad-data');
    }));

  it('stops in the middle of an epoch and continues with another', () =>
    withFolder(async (folder) => {
      const items = await writePhotos(folder, 12);
      const expected = (await collect({ ...base, items }, 1)).batches;
      const { train, close } = await openLoaders({ ...base, items, workers: 2 });
      for await (const _ of train.epoch(0)) break;
      const batches = [];
      for await (const batch of train.epoch(1)) batches.push(copyOf(batch));
      await close();
      expect(batches).to.deep.equal(expected);
    }));

  it('crops, mirrors and zooms pairs from disk alike', () =>
    withFolder(async (folder) => {
      for (let i = 0; i < 6; i++) {
        await writePhoto(folder, `whole/${i}.png`, wavyImage(90, 70, i));
        await writePhoto(folder, `same/${i}.png`, wavyImage(90, 70, i));
        const half = await resizeImage(wavyImage(90, 70, i), { width: 45, height: 35 }, { kernel: 'linear' });
        await writePhoto(folder, `half/${i}.png`, half);
      }
      const same = await collect({ ...base, items: await listPairs(`${folder}/whole`, `${folder}/same`) });
      for (const { x, y } of same.batches) expect(x).to.deep.equal(y);
      const half = await collect({ ...base, items: await listPairs(`${folder}/whole`, `${folder}/half`) });
      for (const { x, y } of half.batches) {
        const error = shiftedError(x, y, 32, 0, 0);
        for (const [dx, dy] of [
          [1, 0],
          [-1, 0],
          [0, 1],
          [0, -1],
        ] as const) {
          expect(shiftedError(x, y, 32, dx, dy)).to.be.greaterThan(error);
        }
      }
    }));

  it('refuses what cannot work', async () => {
    const items = [{ name: 'a.jpg', path: 'a.jpg' }];
    const messageOf = (options: Partial<Options>): Promise<string> =>
      openLoaders({ ...base, items, ...options }).then(
        () => 'no error',
        (error: Error) => error.message,
      );
    expect(await messageOf({ items: [] })).to.include('expected items, got none');
    expect(await messageOf({ shortSide: { min: 20, max: 20 } })).to.include('size <= shortSide.max, got 32 and 20');
    expect(await messageOf({ recipes: [] })).to.include('expected recipes of positive weight');
    expect(await messageOf({ recipes: only('blur', 1) })).to.include("got 'blur'");
  });

  it('a recipe that changes the size is the caller’s mistake, not the photo’s', () =>
    withFolder(async (folder) => {
      const items = await writePhotos(folder, 1);
      const error = await collect({ ...base, items, recipes: only('shrink:shortSide=9', 1) }).catch((e: Error) => e);
      expect(error).to.be.an('error').with.property('message').that.includes('omit its shortSide');
    }));
});

describe('a data block of damaged pictures', () => {
  const block = (options: object = {}) =>
    dataBlock({
      get: listImages,
      split: splitByFunction<ImageItem>(({ name }) => name === 'photo-1.jpg'),
      label: damaged({ recipes: only('noise', 2), shortSide: { min: 40, max: 60 } }),
      size: 32,
      batchSize: 2,
      ...options,
    });

  it('validates on the middle of each photo, the same in every epoch, not mirrored', () =>
    withFolder(async (folder) => {
      await writePhotos(folder, 3);
      const { valid, close } = await createDataLoaders(block(), folder, { seed: 3 });
      const batches = [];
      for (const epoch of [0, 1]) for await (const batch of valid.epoch(epoch)) batches.push(copyOf(batch));
      await close();
      expect(batches).to.have.length(2);
      expect(batches[0]!.items).to.deep.equal(['photo-1.jpg']);
      expect(batches[1]).to.deep.equal(batches[0]);
      // The middle of the photo, 72 x 90, at a short side of 2 * (20 + 5).
      const target = await resizeImage(
        await decodeRgb(join(folder, 'photo-1.jpg')),
        { width: 50, height: 62 },
        { kernel: 'linear' },
      );
      const [left, top] = [Math.floor(0.5 * (50 - 31)), Math.floor(0.5 * (62 - 31))];
      const worst = batches[0]!.y.subarray(0, 1024).reduce((most, value, i) => {
        const at = 3 * ((top + Math.floor(i / 32)) * 50 + left + (i % 32));
        return Math.max(most, Math.abs(value - target.data[at]! / 255));
      }, 0);
      expect(worst).to.be.below(1e-6);
    }));

  it('its summary names the recipes', () =>
    withFolder(async (folder) => {
      await writePhotos(folder, 3);
      const lines = await block().summary(folder, () => {});
      expect(lines.find((line) => line.startsWith('label'))).to.match(/damaged.*'photo-0.jpg' -> damaged on the fly/);
      expect(lines.find((line) => line.startsWith('damage'))).to.match(/1 noise at 1\/2; short side 40\.\.60 px/);
    }));

  it('refuses options of other pictures, which it would ignore', () =>
    withFolder(async (folder) => {
      await writePhotos(folder, 3);
      const refusal = async (options: object): Promise<string> =>
        block(options)
          .plan(folder)
          .then(
            () => 'no error',
            (error: Error) => error.message,
          );
      const flips = { train: [{ kind: 'flip', p: 0.5 }], valid: [], padding: 'zeros' };
      for (const options of [{ transforms: flips }, { resize: 'squish' }, { presize: 64 }, { normalise: 'imagenet' }])
        expect(await refusal(options)).to.match(/expected no transforms, resize, presize or normalise/);
      for (const options of [{ size: { width: 32, height: 24 } }, { channels: 1 }])
        expect(await refusal(options)).to.match(/expected square crops of 3 channels/);
      expect(await refusal({})).to.equal('no error');
    }));
});

describe('cachedDecoder', () => {
  it('keeps the pictures used last, within its bytes', async () => {
    const decoded: string[] = [];
    const decode = async (path: string) => {
      decoded.push(path);
      return plainImage(10, path === 'large' ? 100 : 10, 0); // 300 bytes, or 3000
    };
    const cached = cachedDecoder(decode, 600);
    for (const path of ['a', 'b', 'a', 'large', 'c', 'a', 'b']) await cached(path);
    expect(decoded.join(' ')).to.equal('a b large c b');
    const none = cachedDecoder(decode, 0);
    for (const path of ['x', 'x']) await none(path);
    expect(decoded.slice(5)).to.deep.equal(['x', 'x']);
  });

  it('does not change the samples', () =>
    withFolder(async (folder) => {
      const items = await writePhotos(folder, 3);
      const options = { ...base, items, samplesPerEpoch: 12 };
      expect((await collect({ ...options, cacheBytes: 1e6 })).batches).to.deep.equal((await collect(options)).batches);
    }));
});

describe('validation pairs', () => {
  it('are whole pictures, the target twice the damaged one, the same each time', () =>
    withFolder(async (folder) => {
      const items = await writePhotos(folder, 3);
      const options = { shortSide: 48, damage: 'lesson', seed: 7 };
      const [first, second] = items as [ImageItem, ImageItem];
      const pair = await validationPair(first, options);
      expect(pair.name).to.equal('photo-0.jpg');
      expect([pair.damaged.width, pair.damaged.height]).to.deep.equal([30, 24]);
      expect([pair.target.width, pair.target.height]).to.deep.equal([60, 48]);
      expect(await validationPair(first, options)).to.deep.equal(pair);
      const [one, other] = [
        await validationPair(second, options),
        await validationPair(second, { ...options, seed: 8 }),
      ];
      expect(other.damaged).to.not.deep.equal(one.damaged);
      expect(other.target).to.deep.equal(one.target);
    }));
});

describe('showSamples', () => {
  it('writes a PNG with x left of y where y is the undamaged picture', () =>
    withFolder(async (folder) => {
      const [dims, size] = [[2, 3, 84, 90], 2 * 3 * 84 * 90];
      const planes = (level: number): Tensor<'float32'> => {
        return { dtype: 'float32', dims, data: new Float32Array(size).fill(level) };
      };
      const spec = { label: { kind: 'damaged', classes: 0, values: 0, ignoreId: undefined } } as const;
      const path = join(folder, 'batch.png');
      const batch = { x: planes(0), y: planes(0.4), items: ['a', 'b'] };
      await showSamples(batch, { vocab: [], statistics: undefined, spec }, path, { columns: 1 });
      const grid = await decodeRgb(path);
      expect([grid.width, grid.height]).to.deep.equal([4 + 2 * 90 + 4, 4 + 2 * 88]);
      const at = (x: number, y: number): number => grid.data[3 * (y * grid.width + x)]!;
      expect([at(0, 0), at(4, 4), at(93, 170), at(94, 4), at(183, 170)]).to.deep.equal([255, 0, 0, 102, 102]);
    }));
});
