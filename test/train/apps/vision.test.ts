import { expect } from 'chai';
import { backbones } from '../../../models/backbones.ts';
import { smallEncoder } from '../../../models/small-encoder.ts';
import { type UnetLearnerOptions, unetLearner, visionLearner } from '../../../training/apps/vision.ts';
import { createRng } from '../../../training/core/rng.ts';
import { f32, i32 } from '../../../training/core/tensor.ts';
import { arrayLoaders } from '../../../training/data/rows.ts';
import { accuracy } from '../../../training/learner/metrics.ts';
import { mseLoss } from '../../../training/nn/losses.ts';
import { openCpu } from '../../helpers/tiny-tasks.ts';

const side = 16;
const count = 96;
const encoder = smallEncoder({ widths: [8, 12, 16], depths: [1, 1, 1], zeroLast: false });

/** Pictures of noise with a bright square; its half of the picture is the class, its pixels the mask. */
function squares() {
  const rng = createRng(1, 'squares');
  const x = new Float32Array(count * side * side);
  const masks = new Int32Array(x.length);
  const halves: string[] = [];
  for (let item = 0; item < count; item++) {
    const [top, left] = [rng.int(1, side - 6), rng.int(0, 1) * 8 + rng.int(0, 2)];
    halves.push(left < 8 ? 'left' : 'right');
    for (let i = 0; i < side * side; i++) {
      const [row, column] = [Math.floor(i / side), i % side];
      const inside = row >= top && row < top + 5 && column >= left && column < left + 5;
      x[item * side * side + i] = 0.3 * rng.normal() + (inside ? 1.5 : 0);
      masks[item * side * side + i] = inside ? 1 : 0;
    }
  }
  return { x: f32([count, 1, side, side], x), masks: i32([count, side, side], masks), halves };
}
const { x, masks, halves } = squares();
const shared = { encoder, open: openCpu, metrics: [accuracy()] } as const;
const pixels = arrayLoaders({ x, y: masks, batchSize: 8 });

describe('learners of pictures', () => {
  it('unetLearner learns which pixels are of the square', async () => {
    const learner = await unetLearner({
      ...shared,
      data: pixels,
      classes: 2,
      unet: { lastCross: false, norm: 'weight' },
    });
    expect(learner.groups).to.equal(3);
    const rows = await learner.fitOneCycle(16, 0.02);
    // A tenth of the pixels are.
    expect(rows.at(-1)!.metrics.accuracy).to.be.above(0.97);
    expect((await learner.getPreds()).predictions.dims).to.deep.equal([19, 2, side, side]);
    await learner.close();
  });

  it('visionLearner takes its classes from the data, and weights of its encoder, which are frozen at first', async () => {
    const options = { ...shared, data: arrayLoaders({ x, y: halves, batchSize: 16 }), head: { hidden: [] } };
    const first = await visionLearner(options);
    const prefix = 'encoder.';
    const own = [...first.state.tensors].filter(([name]) => name.startsWith(prefix));
    const tensors = new Map(
      own.map(([name, tensor]) => [name.slice(prefix.length), { ...tensor, data: tensor.data.map((v) => v + 1) }]),
    );
    const matched: string[] = [];
    const pretrained = { name: 'made', format: 'safetensors', tensors, metadata: {} } as const;
    const learner = await visionLearner({
      ...options,
      pretrained,
      onWeights: (report) => matched.push(...report.matched),
    });
    expect(matched).to.have.length(own.length);
    const [name, { data }] = own[0]!;
    expect(learner.state.tensors.get(name)!.data[0]).to.be.closeTo(data[0]! + 1, 1e-6);
    expect(learner.isTrained(name)).to.equal(false);
    expect(learner.activation).to.equal(first.activation);
    expect(
      (await learner.predict({ ...x, dims: [1, side, side], data: x.data.subarray(0, side * side) })).dims,
    ).to.deep.equal([2]);
    await expectRejection(visionLearner({ ...options, pretrained: weightsOfAnother() }), 'expected weights of');
    await first.close();
    await learner.close();
  });

  it('an encoder may be the name of a backbone; another loss makes pictures', async () => {
    const data = arrayLoaders({ x, y: x, batchSize: 8 });
    const named = await visionLearner({ open: openCpu, data, encoder: 'resnet18', classes: 2 });
    const names = named.state.specs.map((spec) => spec.name);
    expect(names).to.include(`encoder.${backbones.resnet18.encoder.groups[0]![0]!}.weight`);
    await named.close();
    const pictures = await unetLearner({ ...shared, metrics: [], data, classes: 1, loss: mseLoss });
    const [first, , last] = await pictures.fit(3, 0.005);
    expect(last!.metrics.valid_loss).to.be.below(first!.metrics.valid_loss!);
    await pictures.close();
    const wrong = { open: openCpu, data, encoder: 'resnet19', classes: 2 } as unknown as UnetLearnerOptions;
    await expectRejection(unetLearner(wrong), 'unetLearner: expected encoder as one of resnet18, ');
    await expectRejection(visionLearner({ open: openCpu, data, encoder }), 'expected 2 classes or more, got 0');
  });
});

/** A file whose tensors no encoder of these tests has. */
const weightsOfAnother = () =>
  ({ name: 'other', format: 'safetensors', tensors: new Map([['fc.weight', f32([1], [1])]]), metadata: {} }) as const;

async function expectRejection(work: Promise<unknown>, text: string): Promise<void> {
  const got = await work.then(
    () => 'no error',
    (error: unknown) => (error as Error).message,
  );
  expect(got).to.include(text);
}
