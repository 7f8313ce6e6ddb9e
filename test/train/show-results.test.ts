import { expect } from 'chai';
import sharp from 'sharp';
import { i32, type Tensor } from '../../training/core/tensor.ts';
import { classColor } from '../../training/data/show.node.ts';
import { createDataLoaders, dataBlock, fromArrays } from '../../training/index.node.ts';
import { labels, splitByIndices } from '../../training/index.ts';
import { createLearner, type LearnerOptions, type Loader } from '../../training/learner/learner.ts';
import { onesInit } from '../../training/nn/init.ts';
import { linear } from '../../training/nn/layers.ts';
import { crossEntropyLoss } from '../../training/nn/losses.ts';
import * as o from '../../training/ops/build.ts';
import { plotTopLosses, showResults } from '../../training/report/cells.node.ts';
import { openCpu, tensorOf } from '../helpers/tiny-tasks.ts';

/** Pixels RGB of the pictures in an SVG, in order. */
const picturesIn = (svg: string): Promise<Buffer[]> =>
  Promise.all(
    [...svg.matchAll(/base64,([^"]*)"/g)].map(([, text]) =>
      sharp(Buffer.from(text!, 'base64')).removeAlpha().raw().toBuffer(),
    ),
  );
const labelsIn = (svg: string): string[] => [...svg.matchAll(/aria-label="([^"]*)"/g)].map((match) => match[1]!);

const [height, width, ignore] = [2, 3, 255] as const;
const plane = height * width;
/** Three channels, of which the brightest is the predicted class; what is right, and one pixel that does not count. */
const brightest = [0, 1, 2, 2, 1, 0];
const truth = [0, 1, 2, 1, ignore, 1];
const x = tensorOf(
  [1, 3, height, width],
  [0, 1, 2].flatMap((c) => brightest.map((best, i) => (c === best ? 1 : i / 10))),
);
const grey = (value: number): number => Math.round(255 * value);
const pixel = (i: number): number[] => [0, 1, 2].map((c) => grey(x.data[c * plane + i]!));
const under = (i: number, id: number): number[] =>
  pixel(i).map((value, c) => Math.round((value + classColor(id)[c]!) / 2));

const once = (y: Tensor): Loader => ({
  batchesPerEpoch: 1,
  async *epoch() {
    yield { x, y };
  },
});
const masks = once(i32([1, height, width], truth));
const options: LearnerOptions = {
  // The scores are the channels.
  model: (scope, value) => o.mul(value, scope.param('scale', [1], onesInit)),
  loss: (scores, ids) => crossEntropyLoss(scores, ids, { ignoreIndex: ignore }),
  data: { train: masks, valid: masks, vocab: ['sky', 'road', 'tree'], spec: { label: { ignoreId: ignore } } },
  open: openCpu,
};

describe('showResults', () => {
  it('lays target and prediction over the picture in the colours of the classes', async () => {
    const learner = await createLearner(options);
    const svg = await showResults(learner);
    const [target, prediction, ...rest] = await picturesIn(svg);
    expect(rest).to.have.length(0);
    const wanted = (ids: readonly number[]): number[] =>
      ids.flatMap((id, i) => (id === ignore ? pixel(i) : under(i, id)));
    expect([...target!]).to.deep.equal(wanted(truth));
    expect([...prediction!]).to.deep.equal(wanted(brightest));
    // Three of the five pixels that count.
    expect(labelsIn(svg)).to.deep.equal(['target, prediction', 'item 0: 60 % right', 'sky', 'road', 'tree']);
    for (const id of [0, 1, 2]) expect(svg).to.include(`fill="rgb(${classColor(id).join(' ')})"`);
    expect(labelsIn(await plotTopLosses(learner))[0]).to.equal('target, prediction / loss');
    await learner.close();
  });

  it('shows loaders of a data block in their true colours, with the names of their classes', async () => {
    const shades = [10, 60, 110, 160, 210, 250];
    const images = shades.map((shade) => ({
      width: 4,
      height: 4,
      channels: 3 as const,
      data: new Uint8Array(48).map((_, i) => (i % 3 === 0 ? shade : 30)),
    }));
    const block = dataBlock({
      get: fromArrays(),
      split: splitByIndices([4, 5]),
      label: labels.byLabel(),
      size: 4,
      normalise: 'imagenet',
      batchSize: 2,
    });
    const data = await createDataLoaders(block, {
      images,
      labels: ['dark', 'dark', 'light', 'light', 'light', 'dark'],
    });
    const learner = await createLearner({
      model: (scope, value) => linear(scope, o.reshape(value, [2, 48]), 2),
      loss: crossEntropyLoss,
      data,
      open: openCpu,
    });
    const svg = await showResults(learner);
    expect((await picturesIn(svg)).map((one) => [one[0], one[1], one[2]])).to.deep.equal([
      [210, 30, 30],
      [250, 30, 30],
    ]);
    expect(labelsIn(svg)).to.have.length(3);
    expect(labelsIn(svg)[1]).to.match(/^light \/ (dark|light)$/);
    expect(labelsIn(svg)[2]).to.match(/^dark \/ (dark|light)$/);
    await learner.close();
    await data.close();
  });
});
