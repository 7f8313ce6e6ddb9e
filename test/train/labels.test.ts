import { expect } from 'chai';
import { mixup } from '../../training/learner/callbacks/mixup.ts';
import type { Loss } from '../../training/learner/compiled.ts';
import { createLearner, type Learner, type LearnerOptions } from '../../training/learner/learner.ts';
import { linear } from '../../training/nn/layers.ts';
import { crossEntropyLoss, diceLoss, focalLoss } from '../../training/nn/losses.ts';
import * as o from '../../training/ops/build.ts';
import { topLosses } from '../../training/report/interpret.ts';
import { failureOf } from '../helpers/blocks.ts';
import { spiralLoader, spiralOptions, spirals } from '../helpers/tiny-tasks.ts';

const opened: Learner[] = [];
/** A learner of three classes with the label of item 70, number 6 of the second batch, replaced in both parts. */
async function learnerOf(loss: Loss, label: number, overrides: Partial<LearnerOptions> = {}): Promise<Learner> {
  const points = spirals(128, 1);
  points.y[70] = label;
  const loader = spiralLoader(points, 64);
  const learner = await createLearner(spiralOptions({ loss, data: { train: loader, valid: loader }, ...overrides }));
  opened.push(learner);
  return learner;
}

/** Every form that a loss of classes has: plain cross-entropy has a graph of its own. */
const forms: Readonly<Record<string, Loss>> = {
  crossEntropyLoss,
  'crossEntropyLoss with smoothing': (p, y) => crossEntropyLoss(p, y, { labelSmoothing: 0.1 }),
  'crossEntropyLoss with weights': (p, y) => crossEntropyLoss(p, y, { classWeights: [1, 2, 1] }),
  focalLoss,
  diceLoss,
};

describe('labels that are no class', function () {
  this.timeout(60_000);
  afterEach(async () => {
    for (const learner of opened.splice(0)) await learner.close();
  });

  for (const [name, loss] of Object.entries(forms))
    it(`${name}: -1, C and -100 are refused with their place, wherever they come in`, async () => {
      for (const label of [-1, 3, -100]) {
        const learner = await learnerOf(loss, label);
        const text = `${name.split(' ')[0]}: expected labels 0..2, got ${label} at y[6]; give ignoreIndex if it stands for no class`;
        expect(await failureOf(learner.fit(1))).to.equal(`epoch 0, batch 1: ${text}`);
        expect(learner.state.step).to.equal(1);
        expect(await failureOf(learner.validate())).to.equal(`validation batch 1: ${text}`);
        expect(await failureOf(learner.lrFind())).to.equal(text);
        if (loss === crossEntropyLoss && label === 3) expect(await failureOf(topLosses(learner))).to.equal(text);
      }
    });

  it('with an ignoreIndex that one label is none, and the others are still refused', async () => {
    const ignoring: Loss = (p, y) => crossEntropyLoss(p, y, { ignoreIndex: -100 });
    for (const label of [-1, 3]) {
      const learner = await learnerOf(ignoring, label);
      expect(await failureOf(learner.fit(1))).to.include(`labels 0..2 or -100, which is ignored, got ${label} at y[6]`);
    }
    const countTargets: NonNullable<LearnerOptions['countTargets']> = ({ data }) =>
      [...data].filter((label) => label !== -100).length;
    const learner = await learnerOf(ignoring, -100, { countTargets });
    // The same weights, and plain cross-entropy of the points without number 70.
    const { x, y } = spirals(128, 1);
    const rest = {
      x: Float32Array.from(x).filter((_, i) => i >> 1 !== 70),
      y: y.filter((_, i) => i !== 70),
    };
    const plain = await learnerOf(crossEntropyLoss, 0, { data: { train: spiralLoader(rest, 127) } });
    const expected = (await plain.validate(spiralLoader(rest, 127))).valid_loss!;
    expect((await learner.validate()).valid_loss).to.be.closeTo(expected, 1e-6);
    expect(await learner.fit(1)).to.have.length(1);
  });

  it('both labels of a mixed batch are looked at', async () => {
    const learner = await learnerOf(crossEntropyLoss, 7);
    expect(await failureOf(learner.fit(1, 0.01, { callbacks: [mixup()] }))).to.match(/labels 0\.\.2, got 7 at y\[6\]/);
  });

  it('labels in another shape are named by their place in the batch; of a part of them nothing is asked', async () => {
    const y = Int32Array.of(0, 1, 2, 0, 9, 1);
    const loader = {
      batchesPerEpoch: 1,
      async *epoch() {
        yield {
          x: { dtype: 'float32', dims: [3, 2], data: new Float32Array(6) } as const,
          y: { dtype: 'int32', dims: [3, 2], data: y } as const,
        };
      },
    };
    const scores: LearnerOptions['model'] = (scope, x) => scope.in('head', (s) => linear(s, x, 6));
    const all: Loss = (p, labels) => crossEntropyLoss(o.reshape(p, [6, 3]), o.reshape(labels, [-1]));
    const first: Loss = (p, labels) =>
      crossEntropyLoss(p, o.squeeze(o.slice(labels, { axes: [1], starts: [1], ends: [2] }), [1]));
    const data = { train: loader };
    const whole = await learnerOf(all, 0, { model: scores, data });
    expect(await failureOf(whole.fit(1))).to.match(/labels 0\.\.2, got 9 at y\[2,0\]/);
    const part = await learnerOf(first, 0, { model: scores, data });
    expect(await part.fit(1)).to.have.length(1);
  });

  it('scores of one class are refused', async () => {
    const one: LearnerOptions['model'] = (scope, x) => scope.in('head', (s) => linear(s, x, 1));
    for (const loss of [crossEntropyLoss, focalLoss, diceLoss]) {
      const learner = await learnerOf(loss, 0, { model: one });
      expect(await failureOf(learner.fit(1))).to.match(
        new RegExp(`${loss.name}: expected scores of at least 2 classes, got .*float32\\[64,1\\]; one score`),
      );
    }
  });
});
