import { expect } from 'chai';
import { f32 } from '../../training/core/tensor.ts';
import { buildOptimizer } from '../../training/optim/define.ts';
import { sgd } from '../../training/optim/optimizers.ts';
import { runOnce } from './compute.ts';

const hyper = { lr: 1, momentum: 0, wd: 0 };
const grads = [
  [3, 0, -4],
  [12, 0],
];

/** What one SGD step of rate 1 takes off parameters of zero: the gradients as the update saw them. */
async function seen(maxNorm: number): Promise<{ taken: number[][]; norm: number }> {
  const graph = buildOptimizer(
    sgd,
    grads.map((grad) => grad.length),
    { clip: true },
  );
  const feeds = grads.flatMap((grad, i) => [
    [
      `param.${i}`,
      f32(
        [grad.length],
        grad.map(() => 0),
      ),
    ] as const,
    [`grad.${i}`, f32([grad.length], grad)] as const,
    [
      `velocity.${i}`,
      f32(
        [grad.length],
        grad.map(() => 0),
      ),
    ] as const,
    ...Object.entries(hyper).map(([name, value]) => [`${name}.${i}`, f32([], [value])] as const),
  ]);
  const out = await runOnce(graph, { ...Object.fromEntries(feeds), step: f32([], [1]), maxNorm: f32([], [maxNorm]) });
  return {
    taken: grads.map((_, i) => Array.from(out[`param.${i}.next`]!.data as Float32Array, (value) => 0 - value)),
    norm: out.gradNorm!.data[0] as number,
  };
}

describe('clipping by the norm of all gradients together', () => {
  it('scales every segment by maxNorm / norm when the norm is larger', async () => {
    const { taken, norm } = await seen(6.5);
    expect(norm).to.equal(13);
    expect(taken.flat().map((value) => Math.round(value * 1e4) / 1e4)).to.deep.equal([1.5, 0, -2, 6, 0]);
  });

  it('leaves smaller gradients alone, and all of them at Infinity', async () => {
    expect((await seen(14)).taken).to.deep.equal(grads);
    expect((await seen(Number.POSITIVE_INFINITY)).taken).to.deep.equal(grads);
  });
});
