import { join } from 'node:path';
import { expect } from 'chai';
import { restoreUnetDefaults } from '../../models/unet.ts';
import { runRestore } from '../../tasks/restore/recipe.node.ts';
import { createRng } from '../../training/core/rng.ts';
import { f32 } from '../../training/core/tensor.ts';
import { compileEvaluation, compileOptimizer, compileStep } from '../../training/loop/compile.ts';
import * as nn from '../../training/nn/layers.ts';
import * as losses from '../../training/nn/losses.ts';
import * as o from '../../training/ops/build.ts';
import { adamw } from '../../training/optim/optimizers.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { createState, initState } from '../../training/step/state.ts';
import type { Task } from '../../training/step/train-step.ts';
import { withFolder } from '../helpers/photos.ts';
import { smallRun, writePhotos } from '../helpers/small-restore.ts';

const open = (model: Uint8Array) => openSession(model, { threads: 1 });

describe('training learns', function () {
  this.timeout(120_000);

  it('restore: held-out pictures come out at least 0.7 dB nearer to the originals than they went in', async () => {
    await withFolder(async (folder) => {
      await writePhotos(join(folder, 'photos'), 12);
      const { best, before, heldOut } = await runRestore({
        config: {
          ...smallRun,
          model: { ...restoreUnetDefaults, widths: [8, 16], blocks: [1, 1], headWidth: 5 },
          stages: [{ epochs: 2, size: 40, batchSize: 4 }],
          samplesPerEpoch: 480,
          lr: 4e-3,
        },
        data: join(folder, 'photos'),
        out: join(folder, 'run'),
        resume: false,
        open,
      });
      expect(before).to.equal(undefined);
      expect(heldOut.length).to.be.above(0);
      expect(best.metrics.psnr! - best.metrics.input_psnr!).to.be.above(0.7);
    });
  });

  it('two moons: a small classifier with dropout and batch norm gets 98 % of unseen points right', async () => {
    const hidden = 24;
    const taskOf = (n: number): Task => ({
      name: 'moons',
      inputs: [
        { name: 'x', dtype: 'float32', shape: [n, 2] },
        { name: 'y', dtype: 'float32', shape: [n, 1] },
      ],
      forward: (scope, { x, y }) => {
        const one = scope.in('one', (s) => nn.linear(s, x!, hidden));
        const normed = o.relu(scope.in('norm', (s) => nn.batchNorm(s, one)));
        const two = o.relu(scope.in('two', (s) => nn.linear(s, nn.dropout(s, normed, 0.1), hidden)));
        const logits = scope.in('head', (s) => nn.linear(s, two, 1));
        return { loss: losses.bceWithLogitsLoss(logits, y!), outputs: { logits } };
      },
    });
    const n = 128;
    const step = await compileStep(taskOf(n), open);
    const state = createState(step.graphs.specs, { optimizer: adamw });
    initState(state, 3);
    const optimizer = await compileOptimizer(adamw, state, open);
    const losses_: number[] = [];
    for (let i = 0; i < 250; i++) {
      losses_.push(await step.gradients(state, moons(n, i), { seed: 3 }));
      await optimizer.update(state, { lr: 0.02, wd: 0 });
    }
    const evaluation = await compileEvaluation(taskOf(500), open);
    const unseen = moons(500, 'unseen');
    const { logits } = await evaluation.evaluate(state, unseen);
    const right = unseen.y.data.filter((label, i) => Number(logits!.data[i]) > 0 === (label === 1)).length;
    expect(losses_[0]).to.be.above(0.5);
    expect(right / 500).to.be.at.least(0.98);
    await Promise.all([step.release(), optimizer.release(), evaluation.release()]);
  });
});

/** Points of two interleaved half circles with a little noise, and which one each belongs to. */
function moons(n: number, seed: number | string) {
  const rng = createRng('moons', seed);
  const points = Array.from({ length: n }, (_, i) => {
    const angle = Math.PI * rng.next();
    const [x, y] = i % 2 === 0 ? [Math.cos(angle), Math.sin(angle)] : [1 - Math.cos(angle), 0.5 - Math.sin(angle)];
    return [x + 0.08 * rng.normal(), y + 0.08 * rng.normal()];
  });
  return {
    x: f32([n, 2], points.flat()),
    y: f32(
      [n, 1],
      points.map((_, i) => i % 2),
    ),
  };
}
