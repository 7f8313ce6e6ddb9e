import { expect } from 'chai';
import { restoreUnet } from '../../../models/unet.ts';
import { formatSummary, summarise } from '../../../training/learner/summary.ts';
import { describeRow, toCsv } from '../../../training/loop/recorder.ts';
import { createScope } from '../../../training/nn/scope.ts';
import { Graph } from '../../../training/onnx/graph.ts';
import { cosine, oneCycle, split } from '../../../training/optim/schedules.ts';

describe('recorder', () => {
  const rows = [
    { epoch: 0, trainLoss: 0.123456789, seconds: 61.26, metrics: { valid_loss: 2, psnr: 25.06789 } },
    { epoch: 1, trainLoss: 1.5e-7, seconds: 0, metrics: { valid_loss: 1e21 } },
  ];

  it('writes rows as comma-separated values', () => {
    expect(toCsv(rows)).to.equal(
      'epoch,train_loss,valid_loss,psnr,seconds\n0,0.12346,2,25.068,61.3\n1,1.5000e-7,1e+21,NaN,0.0\n',
    );
    expect(toCsv([])).to.equal('epoch,train_loss,seconds\n');
  });

  it('describes a row in a line', () => {
    expect(describeRow(rows[0]!)).to.equal('epoch 0  train_loss 0.12346  valid_loss 2  psnr 25.068  61 s');
  });
});

describe('schedules', () => {
  /*
   * fastai v2, worked out by hand from its formulas: sched_cos(start, end, pos) = start + (1 + cos(pi (1 - pos))) (end - start) / 2,
   * fit_one_cycle(lr_max = 1e-3, pct_start = 0.25, div = 25, div_final = 1e5, moms = (0.95, 0.85, 0.95)).
   */
  const { lr, mom } = oneCycle({ lrMax: 1e-3 });
  const half = Math.SQRT1_2;

  it('one cycle: the learning rate of fastai', () => {
    const low = 1e-3 / 25;
    const end = 1e-8;
    for (const [at, value] of [
      [0, 4e-5],
      [0.0625, low + ((1 - half) / 2) * (1e-3 - low)],
      [0.125, 5.2e-4],
      [0.25, 1e-3],
      [0.4375, 1e-3 + ((1 - half) / 2) * (end - 1e-3)],
      [0.625, 5.00005e-4],
      [1, 1e-8],
    ] as const)
      expect(lr(at), `at ${at}`).to.be.closeTo(value, 1e-15);
  });

  it('one cycle: the momentum of fastai', () => {
    for (const [at, value] of [
      [0, 0.95],
      [0.125, 0.9],
      [0.25, 0.85],
      [0.625, 0.9],
      [1, 0.95],
    ] as const)
      expect(mom(at), `at ${at}`).to.be.closeTo(value, 1e-15);
  });

  it('split runs each part through wholly', () => {
    const both = split(
      0.2,
      (at) => at,
      (at) => 10 + at,
    );
    expect([both(0), both(0.1), both(0.2), both(0.6), both(1)]).to.deep.equal([0, 0.5, 10, 10.5, 11]);
    expect(split(1, cosine(0, 1), cosine(5, 6))(1)).to.equal(6);
  });
});

describe('summary', () => {
  const graph = new Graph('summary');
  const scope = createScope(graph, { training: false });
  restoreUnet(scope, graph.input('image', 'float32', [1, 3, 128, 96]));
  const summary = summarise(scope, (name) => !name.startsWith('encoder.'));

  /** A weight-normalised convolution: directions, lengths, biases. */
  const conv = (from: number, to: number, kernel: number): number => to * from * kernel ** 2 + to + to;
  const blocks = (width: number): number => 2 * 2 * conv(width, width, 3);
  const encoder = conv(3, 32, 4) + blocks(32) + conv(32, 64, 2) + blocks(64) + conv(64, 128, 2) + blocks(128);
  const middle = conv(128, 256, 3) + conv(256, 128, 3);
  /** Pixel shuffle to the skip's width, then two convolutions over both. */
  const decoder = (from: number, skip: number): number =>
    conv(from, 4 * skip, 1) + conv(2 * skip, skip, 3) + conv(skip, skip, 3);
  // The head is plain: weights and biases.
  const last = conv(32, 4 * 13, 1) + 2 * conv(16, 16, 3) + (16 * 3 + 3);
  const total = encoder + middle + decoder(128, 64) + decoder(64, 32) + last;

  it('counts the restore U-Net as the layers on paper do', () => {
    expect(summary.params).to.equal(total);
    expect(summary.trainableParams).to.equal(total - encoder);
    expect(summary.rows.reduce((sum, row) => sum + row.params, 0)).to.equal(total);
    const sizes = Object.fromEntries(summary.rows.map(({ layer, outputShape }) => [layer, outputShape]));
    expect(sizes).to.include({
      'encoder.0.down': '[1,32,64,48]',
      'encoder.2.1.conv2': '[1,128,16,12]',
      head: '[1,3,128,96]',
    });
  });

  it('prints a table whose totals are these', () => {
    const lines = formatSummary(summary).split('\n');
    expect(lines[0]).to.match(/^Layer +Op +Output shape +Params +Trainable$/);
    expect(lines).to.include(`Total params: ${total.toLocaleString('en')}`);
    expect(lines).to.include(`Total non-trainable params: ${encoder.toLocaleString('en')}`);
    expect(lines.filter((line) => /^encoder.*false$/.test(line))).to.have.length(15);
    expect(lines.filter((line) => /true$/.test(line))).to.have.length(summary.rows.length - 15);
  });
});
