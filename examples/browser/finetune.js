import { createLearner, createRng, loadWeightsFile, losses, nn, ops, splitByPrefix } from 'fettle';

// Stripes that lie (0) or stand (1), in noise: batches of x f32[N,1,16,16] and y int32[N].
const stripes = (batchesPerEpoch, size, seed) => ({
  batchesPerEpoch,
  async *epoch(number, { fromBatch = 0 } = {}) {
    for (let batch = fromBatch; batch < batchesPerEpoch; batch++) {
      const rng = createRng(seed, number, batch);
      const y = Int32Array.from({ length: size }, () => rng.int(0, 1));
      const data = Float32Array.from({ length: size * 256 }, (_, i) => {
        const along = y[i >> 8] === 0 ? (i >> 4) & 15 : i & 15;
        return Math.sin(1.5 * along) + rng.normal();
      });
      yield { x: { dtype: 'float32', dims: [size, 1, 16, 16], data }, y: { dtype: 'int32', dims: [size], data: y } };
    }
  },
});

const model = (scope, x) => {
  const body = scope.in('body', (s) => {
    const fine = s.in('fine', (one) => nn.convBlock(one, x, { filters: 8, stride: 2 }));
    return s.in('coarse', (one) => nn.convBlock(one, fine, { filters: 12, stride: 2 }));
  });
  return scope.in('head', (s) => nn.linear(s, ops.reduceMean(body, { axes: [2, 3] }), 2));
};

export const stripesLearner = (open) =>
  createLearner({
    model,
    loss: losses.crossEntropyLoss,
    data: { train: stripes(6, 16, 1) },
    open,
    splitter: splitByPrefix(['body']), // two groups: the body, and the rest
  });

// Trains the head on the body in `weights`, the bytes of a .safetensors file; returns the loss of every batch.
export async function finetune(open, weights) {
  const learner = await stripesLearner(open);
  loadWeightsFile(learner, weights);
  await learner.freeze();
  await learner.fit(2, 0.03);
  await learner.close();
  return learner.history.series.loss;
}
