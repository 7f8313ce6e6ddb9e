import { expect } from 'chai';
import { f32 } from '../../../training/core/tensor.ts';
import { zerosInit } from '../../../training/nn/init.ts';
import { alongSurface, filterDirection, surfaceGrid } from '../../../training/report/loss-surface.ts';
import { contourSegments, surfaceChart } from '../../../training/report/surface.ts';

/** A convolution of two filters, one of them zero, and its bias. */
function smallState() {
  const spec = (name: string, shape: readonly number[]) =>
    ({ name, shape, kind: 'param', init: zerosInit, decay: true }) as const;
  return {
    specs: [spec('weight', [3, 1, 2, 2]), spec('bias', [3])],
    tensors: new Map([
      ['weight', f32([3, 1, 2, 2], [1, 2, 2, 0, 0, 0, 0, 0, 6, 0, 0, 8])],
      ['bias', f32([3], [1, 2, 3])],
    ]),
  };
}

describe('loss surfaces', () => {
  it('a direction has the length of each filter, and leaves vectors alone', () => {
    const directions = filterDirection(smallState(), 1);
    expect([...directions.keys()]).to.deep.equal(['weight']);
    const direction = directions.get('weight')!;
    const lengths = [0, 4, 8].map((at) => Math.hypot(...direction.subarray(at, at + 4)));
    expect(lengths[0]).to.be.closeTo(3, 1e-5);
    expect(lengths[1]).to.equal(0);
    expect(lengths[2]).to.be.closeTo(10, 1e-5);
    expect(filterDirection(smallState(), 2).get('weight')![0]).to.not.equal(direction[0]);
  });

  it('the grid is square about the weights', () => {
    const grid = surfaceGrid(5, 2);
    expect(grid).to.have.length(25);
    expect(grid[0]).to.deep.equal({ alpha: -2, beta: -2 });
    expect(grid[12]).to.deep.equal({ alpha: 0, beta: 0 });
    expect(grid[13]).to.deep.equal({ alpha: 1, beta: 0 });
  });

  it('weights move to every point, and are back afterwards, also when the walk is broken off', async () => {
    const state = smallState();
    const weight = state.tensors.get('weight')!.data;
    const before = weight.slice();
    const seen: number[] = [];
    for await (const { alpha, value } of alongSurface(state, surfaceGrid(3, 1), async () => weight[0]!)) {
      seen.push(value);
      if (alpha === 0 && seen.length === 5) expect(weight).to.deep.equal(before);
      if (seen.length === 6) break;
    }
    expect(new Set(seen).size).to.equal(6);
    expect(weight).to.deep.equal(before);
  });

  it('contours of a bowl are circles', () => {
    const points = 41;
    const values = surfaceGrid(points, 1).map(({ alpha, beta }) => alpha ** 2 + beta ** 2);
    const segments = contourSegments({ title: 'bowl', points, values }, 0.25);
    expect(segments.length).to.be.above(60);
    for (const [x, y] of segments.flat()) {
      const radius = Math.hypot(x / 20 - 1, y / 20 - 1);
      expect(radius).to.be.closeTo(0.5, 2e-3);
    }
  });

  it('a saddle is cut around the corners that stand alone', () => {
    const cell = (values: number[]) => contourSegments({ title: 'saddle', points: 2, values }, 0.5);
    // Corners in rows: high, low / low, high. The mean is the level's equal or below it: the high corners stand alone.
    const low = cell([0.8, 0, 0, 0.8]);
    expect(low).to.have.length(2);
    const cornerOf = (segment: (typeof low)[number]): string =>
      segment[0].map((value, i) => Math.round((value + segment[1][i]!) / 2)).join();
    expect(low.map(cornerOf).sort()).to.deep.equal(['0,0', '1,1']);
    const high = cell([1, 0.3, 0.3, 1]);
    expect(high.map(cornerOf).sort()).to.deep.equal(['0,1', '1,0']);
  });

  it('the chart refuses a grid that is not square', () => {
    const options = { label: 'loss', span: 1, ceiling: 1, levels: [0.5] };
    expect(() => surfaceChart([{ title: 'a', points: 3, values: [1, 2] }], options)).to.throw(
      /3 x 3 values for "a", got 2/,
    );
  });
});
