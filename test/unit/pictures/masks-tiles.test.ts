import { expect } from 'chai';
import {
  classIds,
  maskTiles,
  type RunProbabilities,
  segmentPicture,
  segmentSize,
} from '../../../tasks/segment/infer.ts';
import type { Image } from '../../../training/core/image.ts';
import { createRng } from '../../../training/core/rng.ts';
import { f32, type Tensor, tensor } from '../../../training/core/tensor.ts';
import { planMaskSpans, planMaskTiles } from '../../../training/pictures/masks/tiles.ts';
import { wavyImage } from '../../helpers/photos.ts';

const classes = ['red', 'green', 'blue'].map((name) => ({ name, color: [0, 0, 0] as const }));

/** A net that looks at single pixels: the channel with the highest value is the class. */
const channelsAsClasses: RunProbabilities = async (input) => input;

/** How many pixels differ. */
const different = (a: Image, b: Image): number => a.data.filter((id, i) => id !== b.data[i]).length;

describe('tiles of masks', () => {
  it('count once everywhere, begin on a grid and share their overlap', () => {
    const sizes = { tilePixels: 2 ** 16, overlap: 64, ramp: 32 };
    for (const length of [1, 200, 201, 250, 256, 257, 300, 1000, 1001, 4096]) {
      const spans = planMaskSpans(length, 256, sizes);
      const sum = new Float32Array(length);
      for (const { start, end, weights } of spans) {
        expect([weights.length, start % 32, end - start <= 256]).to.deep.equal([end - start, 0, true]);
        weights.forEach((weight, i) => {
          sum[start + i]! += weight;
        });
      }
      expect([spans[0]!.start, spans.at(-1)!.end]).to.deep.equal([0, length]);
      expect(Math.max(...sum.map((total) => Math.abs(total - 1))), `${length}`).to.be.below(1e-6);
      spans.slice(1).forEach(({ start }, i) => {
        expect(spans[i]!.end - start).to.equal(64);
      });
    }
    expect(() => planMaskSpans(300, 100, sizes)).to.throw(/twice the overlap/);
  });

  it('a photo of a common shape is one tile, at the sizes of the models that are shipped and far above', () => {
    for (const shortSide of [192, 512]) {
      const { bands, lanes } = planMaskTiles(segmentSize({ width: 4000, height: 2250 }, shortSide), maskTiles);
      expect([bands.length, lanes.length]).to.deep.equal([1, 1]);
    }
  });

  for (const [shape, width, height, shortSide] of [
    ['wide', 700, 96, 96],
    ['tall', 90, 800, 100],
    ['square, cut both ways', 300, 310, 400],
    ['smaller than the net wants it', 60, 500, 96],
  ] as const) {
    it(`a net that looks at single pixels gives the same mask in tiles: ${shape}`, async () => {
      const image = wavyImage(width, height, 5);
      const seen: string[] = [];
      const run: RunProbabilities = async (input) => {
        seen.push(`${input.dims[3]}x${input.dims[2]}`);
        return input;
      };
      const progress: number[] = [];
      const tiles = { tilePixels: 128 * 128, overlap: 32, ramp: 16 };
      const tiled = await segmentPicture(image, { shortSide, classes }, run, {
        tiles,
        onProgress: (done, total) => progress.push(done / total),
      });
      const whole = await segmentPicture(image, { shortSide, classes }, channelsAsClasses, {
        tiles: { ...tiles, tilePixels: 2 ** 30 },
      });
      expect(seen.length).to.be.above(2);
      expect(progress).to.deep.equal(seen.map((_, i) => (i + 1) / seen.length));
      expect([tiled.width, tiled.height, tiled.channels]).to.deep.equal([width, height, 1]);
      // Ties of rounding: the ramps' weights sum to 1 within 1e-7.
      expect(different(tiled, whole)).to.be.at.most(2);
      expect(new Set(tiled.data).size).to.equal(3);
    });
  }

  it('stops before the next tile when it is asked to', async () => {
    const controller = new AbortController();
    let runs = 0;
    const run: RunProbabilities = async (input) => {
      if (++runs === 2) controller.abort(new Error('enough'));
      return input;
    };
    const options = { tiles: { tilePixels: 128 * 128, overlap: 32, ramp: 16 }, signal: controller.signal };
    const failure = await segmentPicture(wavyImage(900, 96, 1), { shortSide: 96, classes }, run, options).catch(String);
    expect([failure, runs]).to.deep.equal(['Error: enough', 2]);
  });

  it('says when the net gives something else', async () => {
    const run: RunProbabilities = async () => f32([1, 3, 8, 8], new Float32Array(192));
    const failure = await segmentPicture(wavyImage(64, 32, 1), { shortSide: 32, classes }, run).catch(String);
    expect(failure).to.match(/expected probabilities f32\[1,3,32,64\] from the net, got \[1,3,8,8\]/);
  });
});

describe('sizes of pictures for the net', () => {
  it('thin strips are enlarged less, and never shrunk for that', () => {
    expect(segmentSize({ width: 1600, height: 100 }, 192)).to.deep.equal({ width: 3072, height: 192 });
    const line = segmentSize({ width: 65_500, height: 1 }, 192);
    expect([line.width >= 65_500, line.height, line.width * line.height < 2e6]).to.deep.equal([true, 8, true]);
    const { width, height } = segmentSize({ width: 20, height: 2000 }, 192);
    expect(width * height).to.be.within(0.9 * 16 * 192 ** 2, 1.1 * 16 * 192 ** 2);
    expect(segmentSize({ width: 60_000, height: 600 }, 192)).to.deep.equal({ width: 19_200, height: 192 });
  });
});

describe('classes of enlarged probabilities', () => {
  /** The class of the pixel at x, y, worked out one by one. */
  function likeliestAt(
    { data, dims }: Tensor<'float32'>,
    size: { width: number; height: number },
    x: number,
    y: number,
  ) {
    const [, count = 0, height = 0, width = 0] = dims;
    const place = (i: number, from: number, to: number): number =>
      Math.max(0, Math.min(from - 1, ((i + 0.5) * from) / to - 0.5));
    const [px, py] = [place(x, width, size.width), place(y, height, size.height)];
    const [left, top] = [Math.floor(px), Math.floor(py)];
    const [right, bottom] = [Math.min(width - 1, left + 1), Math.min(height - 1, top + 1)];
    const values = Array.from({ length: count }, (_, c) => {
      const at = (row: number, column: number): number => data[(c * height + row) * width + column]!;
      const upper = at(top, left) + (at(top, right) - at(top, left)) * (px - left);
      const lower = at(bottom, left) + (at(bottom, right) - at(bottom, left)) * (px - left);
      return upper + (lower - upper) * (py - top);
    });
    return { values, best: Math.max(...values) };
  }

  it('are those of every pixel alone, whatever the sizes', () => {
    const rng = createRng('enlarged');
    for (let round = 0; round < 40; round++) {
      const [height, width, count] = [rng.int(1, 7), rng.int(1, 7), rng.int(2, 5)];
      const size = { width: rng.int(1, 40), height: rng.int(1, 40) };
      const data = Float32Array.from({ length: count * height * width }, () => rng.next() ** 3);
      const p = tensor('float32', [1, count, height, width], data);
      const ids = classIds(p, size);
      for (let i = 0; i < ids.data.length; i++) {
        const { values, best } = likeliestAt(p, size, i % size.width, Math.floor(i / size.width));
        expect(values[ids.data[i]!], `${round}: ${i}`).to.be.closeTo(best, 1e-6);
      }
    }
  });
});
