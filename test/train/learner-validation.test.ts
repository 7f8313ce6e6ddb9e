import { expect } from 'chai';
import { stopOnNan } from '../../training/learner/callbacks/stop-on-nan.ts';
import { createLearner, type Learner, type LearnerOptions } from '../../training/learner/learner.ts';
import { describeRow } from '../../training/loop/recorder.ts';
import { tta } from '../../training/report/interpret.ts';
import { failureOf } from '../helpers/blocks.ts';
import { spiralLoader, spiralOptions, spirals } from '../helpers/tiny-tasks.ts';

const opened: Learner[] = [];
async function spiralLearner(overrides: Partial<LearnerOptions> = {}): Promise<Learner> {
  const learner = await createLearner(spiralOptions(overrides));
  opened.push(learner);
  return learner;
}

describe('validation of a learner', function () {
  this.timeout(60_000);
  afterEach(async () => {
    for (const learner of opened.splice(0)) await learner.close();
  });

  /** 201 points to validate on; item 70, in the second batch, has a NaN. */
  const spoilt = (): LearnerOptions['data'] => {
    const points = spirals(201, 2);
    points.x[2 * 70] = Number.NaN;
    return { train: spiralLoader(spirals(128, 1), 64, 1), valid: spiralLoader(points, 64) };
  };
  const trouble = 'validation batch 1 has the loss NaN; the first tensor that is not finite is x';

  it('a loss that is not finite is reported in the row, with its batch, and ends the run by stopOnNan', async () => {
    const plain = await spiralLearner({ data: spoilt() });
    const rows = await plain.fit(2);
    expect(rows.map(({ notFinite }) => notFinite)).to.deep.equal([trouble, trouble]);
    expect(describeRow(rows[0]!)).to.include(`(${trouble})`);
    const notes: string[] = [];
    const learner = await spiralLearner({ data: spoilt(), callbacks: [stopOnNan((text) => notes.push(text))] });
    expect(await learner.fit(2)).to.have.length(1);
    expect(notes).to.deep.equal([`stopped after epoch 0: ${trouble}`]);
    const good = await (await spiralLearner()).fit(1);
    expect(good[0]).to.not.have.property('notFinite');
  });

  it('on its own it throws, and names what went bad: the data, a weight or the prediction', async () => {
    const learner = await spiralLearner({ data: spoilt() });
    expect(await failureOf(learner.validate())).to.include(`validate: expected finite losses, got another: ${trouble}`);
    const told: string[] = [];
    const { valid_loss } = await learner.validate(undefined, { notFinite: (text) => told.push(text) });
    expect([valid_loss, told]).to.deep.equal([Number.NaN, [trouble]]);
    const sound = await spiralLearner();
    sound.state.gradTensors.get('middle.bias')!.data[0] = Number.NaN; // no part of an evaluation
    sound.state.tensors.get('middle.bias')!.data.fill(3e38);
    sound.state.tensors.get('head.weight')!.data.fill(3e38);
    expect(await failureOf(sound.validate())).to.include(
      'batch 0 has the loss NaN; the first tensor that is not finite is prediction',
    );
    sound.state.tensors.get('head.bias')!.data[2] = Number.NaN;
    expect(await failureOf(sound.validate())).to.include('not finite is head.bias');
  });

  it('of an empty set there are no metrics, and no predictions', async () => {
    const none = spiralLoader(spirals(0, 1), 64);
    const learner = await spiralLearner({ data: { ...spoilt(), valid: none }, callbacks: [stopOnNan()] });
    const [row] = await learner.fit(1);
    expect(row!.metrics).to.deep.equal({});
    expect(await failureOf(learner.validate())).to.include('there is nothing to measure in 0 validation batches');
    expect(await failureOf(learner.getPreds())).to.equal('getPreds: expected a loader with batches, got an empty one');
    expect(await failureOf(tta(learner))).to.equal('tta: expected a loader with batches, got an empty one');
  });
});
