import { join } from 'node:path';
import { expect } from 'chai';
import { openLearner } from '../../tasks/restore/recipe.node.ts';
import { f32 } from '../../training/core/tensor.ts';
import { createLearner } from '../../training/learner/learner.ts';
import type { Loader } from '../../training/learner/options.ts';
import { conv2d } from '../../training/nn/layers.ts';
import { mseLoss } from '../../training/nn/losses.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { withFolder } from '../helpers/photos.ts';
import { smallRun, writePhotos } from '../helpers/small-restore.ts';

const open = (model: Uint8Array) => openSession(model, { threads: 1 });

describe('the learner of restore', function () {
  this.timeout(120_000);

  it('finds a rate, fine-tunes, and explains and summarises itself', () =>
    withFolder(async (folder) => {
      await writePhotos(join(folder, 'photos'), 9);
      const notes: string[] = [];
      const { learner, held, close } = await openLearner({
        config: smallRun,
        data: join(folder, 'photos'),
        open,
        onNote: (text) => void notes.push(text),
      });
      try {
        expect(notes.join()).to.match(/\d pictures to train on, \d held out/);
        const before = new Map([...learner.weights].map(([name, values]) => [name, values.slice()]));
        const { valley, lrs } = await learner.lrFind({ iterations: 12 });
        expect(valley).to.be.within(lrs[0]!, lrs.at(-1)!);
        expect(
          [...learner.weights].every(([name, values]) => values.every((v, i) => v === before.get(name)![i])),
        ).to.equal(true);

        expect(learner.groups).to.equal(3);
        await learner.freeze();
        await learner.fit(1, 1e-3);
        const changed = [...learner.weights].filter(([name, values]) =>
          values.some((v, i) => v !== before.get(name)![i]),
        );
        const names = changed.map(([name]) => name);
        expect(names.length).to.be.above(0);
        expect(names.filter((name) => /^(encoder|middle)\./.test(name))).to.deep.equal([]);
        await learner.unfreeze();
        const rows = await learner.fineTune(1, { baseLr: 1e-3 });
        expect(rows).to.have.length(2);
        expect(Object.keys(rows[0]!.metrics)).to.deep.equal(['valid_loss', 'psnr', 'input_psnr', 'undamaged_psnr']);
        expect(held.length).to.be.above(0);
        expect(learner.summary()).to.match(/encoder\.0/);
        expect(learner.explain()).to.match(/afterBatch/);
      } finally {
        await close();
      }
    }));
});

/** Batches of one picture each: those of `sides`, the last of them all ones. */
const pictures = (...sides: readonly number[]): Loader => ({
  batchesPerEpoch: sides.length,
  async *epoch() {
    for (const side of sides) {
      const data = Array.from({ length: side * side }, (_, i) => (i % 7) / 7);
      yield { x: f32([1, 1, side, side], data), y: f32([1, 1, side, side], data) };
    }
  },
});

describe('a learner', () => {
  const model = { model: conv, loss: mseLoss, seed: 2 };
  function conv(scope: Parameters<typeof conv2d>[0], x: Parameters<typeof conv2d>[1]) {
    return conv2d(scope, x, { filters: 1 });
  }

  it('with freeSize evaluates pictures of all sizes by one graph, and as without it', async () => {
    const results = [];
    for (const freeSize of [0, 4]) {
      let opened = 0;
      const counting = (bytes: Uint8Array) => {
        opened += 1;
        return open(bytes);
      };
      const data = { train: pictures(8), valid: pictures(8, 12, 16, 20) };
      const learner = await createLearner({ ...model, data, open: counting, freeSize });
      const { valid_loss } = await learner.validate();
      results.push({ opened, valid_loss: valid_loss! });
      await learner.close();
    }
    expect(results.map(({ opened }) => opened)).to.deep.equal([4, 1]);
    expect(results[1]!.valid_loss).to.be.closeTo(results[0]!.valid_loss, 1e-7);
  });

  it('whose epochs have different numbers of batches follows its schedule to the end', async () => {
    const counts = [2, 5, 1];
    const train: Loader = {
      batchesPerEpoch: 2,
      batchesIn: (epoch) => counts[epoch] ?? 2,
      async *epoch(epoch, { fromBatch = 0 } = {}) {
        const batches = [];
        for await (const batch of pictures(8).epoch(0)) batches.push(batch);
        for (let i = fromBatch; i < (counts[epoch] ?? 2); i++) yield batches[0]!;
      },
    };
    const learner = await createLearner({ ...model, data: { train }, open });
    const done: number[] = [];
    const batches: number[] = [];
    await learner.fitOneCycle(3, 1e-3, {
      callbacks: [
        {
          name: 'watch',
          numbers: [],
          afterBatch: (context) => {
            done.push(context.done);
            batches.push(context.batches);
          },
        },
      ],
    });
    await learner.close();
    expect(done).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8].map((updates) => updates / 8));
    expect(batches).to.deep.equal([2, 2, 5, 5, 5, 5, 5, 1]);
  });
});
