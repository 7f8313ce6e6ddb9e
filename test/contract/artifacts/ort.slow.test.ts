import { expect } from 'chai';
import { ortArtifacts } from '../../../training/export/ort-artifacts.ts';
import { compileEvaluation, compileOptimizer, compileStep } from '../../../training/loop/compile.ts';
import { adamw } from '../../../training/optim/optimizers.ts';
import { distance, fill, flatten, lessonCnn, mlp, startState, unet, weightsOf } from '../../helpers/ort-cases.ts';
import { ortTrainer } from '../../helpers/ort-training.ts';
import { openCpu } from '../../helpers/tiny-tasks.ts';

const hyper = { beta1: 0.9, beta2: 0.99, eps: 1e-5, wd: 0.01 };
const lr = 1e-3;

describe("ORT artifacts: ONNX Runtime's own training against ours", function () {
  this.timeout(120_000);

  for (const [name, { task, batch }] of Object.entries({ mlp, lessonCnn, unet })) {
    it(`${name}: 20 steps, losses, evaluation, parameters and running statistics`, async () => {
      const state = startState(task);
      const theirs = await ortTrainer(ortArtifacts(task, { weights: weightsOf(state), hyper, lr }));
      const ours = await compileStep(task, openCpu);
      const optimizer = await compileOptimizer(adamw, state, openCpu);
      for (let step = 1; step <= 20; step++) {
        const loss = await ours.gradients(state, batch(step));
        await optimizer.update(state, { ...hyper, lr });
        const { loss: other } = await theirs.train(batch(step));
        await theirs.update();
        expect(Number(other!.data[0]), `loss of step ${step}`).to.be.closeTo(loss, 1e-4 * Math.abs(loss));
      }
      const found = await theirs.evaluate(batch(21));
      const [trained, all] = [await theirs.parameters(true), await theirs.parameters(false)];
      expect(distance(trained, flatten(state, true)), 'parameters').to.be.below(1e-4);
      expect(distance(all, flatten(state, false)), 'with running statistics').to.be.below(1e-4);
      // The evaluation graph apart from what the two trainings differ by: with their weights in ours.
      fill(state, all);
      const evaluation = await compileEvaluation(task, openCpu);
      const expected = await evaluation.evaluate(state, batch(21));
      expect(Object.keys(found)).to.deep.equal(Object.keys(expected));
      for (const [output, { data }] of Object.entries(expected))
        expect(distance(found[output]!.data as Float32Array, data as Float32Array), output).to.be.below(1e-5);
      for (const one of [theirs, ours, optimizer, evaluation]) await one.release();
    });
  }
});
