import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { FettleError } from '../../training/core/errors.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import { readItem } from '../../training/data/read-item.node.ts';
import { createDataLoaders, type DataLoaders, dataBlock, fromFolder } from '../../training/index.node.ts';
import { labels, splitByFunction } from '../../training/index.ts';
import { cutmix } from '../../training/learner/callbacks/mixup.ts';
import { createLearner } from '../../training/learner/learner.ts';
import { sgdrPolicy } from '../../training/learner/policies.ts';
import type { FitContext } from '../../training/loop/fit-loop.ts';
import { newProgress } from '../../training/loop/recorder.ts';
import { classificationReport } from '../../training/report/interpret.ts';
import { wavyImage, withFolder, writePhoto } from '../helpers/photos.ts';
import { spiralOptions, tensorOf } from '../helpers/tiny-tasks.ts';

/** What `cutmix` makes of a batch in batch `number` of the run. */
async function cutBatch(x: Tensor, y: Tensor, number: number): Promise<Record<string, Tensor>> {
  let made: Record<string, Tensor> = {};
  const context = {
    batch: { x, y },
    progress: { ...newProgress(), batch: number },
    replaceBatch: (batch: Record<string, Tensor>) => {
      made = batch;
    },
  };
  await cutmix().beforeBatch!(context as unknown as FitContext);
  return made;
}

describe('cutmix', () => {
  it('puts one rectangle of another item into each picture; the mixture is by area', async () => {
    const [items, channels, height, width] = [3, 2, 6, 8] as const;
    const plane = height * width;
    // Every value states its item: 1, 2 or 3.
    const x = tensorOf(
      [items, channels, height, width],
      Array.from({ length: items * channels * plane }, (_, i) => 1 + Math.floor(i / (channels * plane))),
    );
    const y: Tensor = { dtype: 'int32', dims: [items], data: Int32Array.of(1, 2, 3) };
    const shares: number[] = [];
    for (let number = 0; number < 40; number++) {
      const made = await cutBatch(x, y, number);
      const mix = made.mix!.data[0] as number;
      const other = (item: number): number => Number(made.y2!.data[item]);
      const cuts = Array.from({ length: items * channels }, (_, n) => {
        const own = 1 + Math.floor(n / channels);
        const values = [...(made.x!.data as Float32Array).subarray(n * plane, (n + 1) * plane)];
        expect(values.every((value) => value === own || value === other(own - 1))).to.equal(true);
        return { own, cut: [...values.keys()].filter((i) => values[i] !== own) };
      });
      for (const { own, cut } of cuts.filter((one) => other(one.own - 1) !== one.own)) {
        expect(cut.length / plane).to.be.closeTo(1 - mix, 1e-6);
        const [rows, columns] = [cut.map((i) => Math.floor(i / width)), cut.map((i) => i % width)];
        const box =
          cut.length === 0
            ? 0
            : (Math.max(...rows) - Math.min(...rows) + 1) * (Math.max(...columns) - Math.min(...columns) + 1);
        expect(box, `a rectangle in ${own}`).to.equal(cut.length);
      }
      expect([...(made.y2!.data as Int32Array)].sort()).to.deep.equal([1, 2, 3]);
      shares.push(mix);
    }
    // Beta(1, 1) is uniform; what lies outside of the picture raises the mean share of the item itself above a half.
    expect(Math.min(...shares)).to.be.below(0.4);
    expect(Math.max(...shares)).to.be.above(0.9);
    expect((await cutBatch(x, y, 7)).x!.data).to.deep.equal((await cutBatch(x, y, 7)).x!.data);
  });
});

describe('warm restarts', () => {
  it('three cycles of 1, 2 and 4 parts fall from 1 to 0 each', () => {
    const { lr } = sgdrPolicy(3, 2);
    const at = [0, 0.5, 0.999999, 1, 2, 2.999999, 3, 5, 7].map((part) => lr(part / 7));
    [1, 0.5, 0, 1, 0.5, 0, 1, 0.5, 0].forEach((expected, i) => {
      expect(at[i], `place ${i}`).to.be.closeTo(expected, 1e-5);
    });
  });

  it('fitSgdr runs the epochs of all cycles', async () => {
    const learner = await createLearner(spiralOptions());
    const rows = await learner.fitSgdr(2, 0.01, { length: 1, mult: 2 });
    expect(rows).to.have.length(3);
    const { lr } = learner.history.series;
    expect([lr![0], lr![8]]).to.deep.equal([0.01, 0.01]);
    expect(lr![7]).to.be.below(0.001);
    expect(lr![23]).to.be.below(0.001);
    await learner.close();
  }).timeout(20_000);
});

describe('classificationReport', () => {
  it('gives precision, recall and F1 of each class, 0 for one that never came', () => {
    // Labelled 0: two right, one taken for 1. Labelled 1: one taken for 0, three right. Class 2 never.
    const report = classificationReport({ classes: 3, counts: Float64Array.of(2, 1, 0, 1, 3, 0, 0, 0, 0) });
    expect(report).to.deep.equal([
      { label: 0, precision: 2 / 3, recall: 2 / 3, f1: 4 / 6, support: 3 },
      { label: 1, precision: 3 / 4, recall: 3 / 4, f1: 6 / 8, support: 4 },
      { label: 2, precision: 0, recall: 0, f1: 0, support: 0 },
    ]);
  });
});

describe('readItem', () => {
  it('reads a photo as the validation part does, without a label', () =>
    withFolder(async (folder) => {
      for (let i = 0; i < 4; i++) await writePhoto(folder, `a_${i}.png`, wavyImage(40 + 8 * i, 32, i));
      await writePhoto(folder, 'new.jpg', wavyImage(50, 70, 9));
      const block = dataBlock({
        get: fromFolder(),
        split: splitByFunction(({ name }: { name: string }) => name === 'a_3.png' || name === 'new.jpg'),
        label: labels.byFunction(() => 'a'),
        size: 24,
        normalise: 'imagenet',
        batchSize: 2,
      });
      const data: DataLoaders<'category'> = await createDataLoaders(block, folder);
      try {
        for await (const { x, items } of data.valid.epoch()) {
          for (const [i, name] of items.entries()) {
            const read = await readItem(data, join(folder, name));
            expect(read.dims).to.deep.equal([3, 24, 24]);
            expect(read.data).to.deep.equal(x.data.slice(i * 3 * 24 * 24, (i + 1) * 3 * 24 * 24));
          }
          expect(items).to.have.members(['a_3.png', 'new.jpg']);
        }
        await writeFile(join(folder, 'torn.png'), 'no picture');
        for (const name of ['none.png', 'torn.png']) {
          const error = await readItem(data, join(folder, name)).catch((cause: unknown) => cause as FettleError);
          expect((error as FettleError).code).to.equal('bad-data');
          expect((error as FettleError).message).to.include(`readItem: expected a picture in ${join(folder, name)}`);
        }
      } finally {
        await data.close();
      }
    })).timeout(20_000);
});
