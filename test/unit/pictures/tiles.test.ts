import { expect } from 'chai';
import type { FettleError } from '../../../training/core/errors.ts';
import type { Image } from '../../../training/core/image.ts';
import { createRng } from '../../../training/core/rng.ts';
import { planTiles, restoreImage } from '../../../training/pictures/tiles.ts';

const spec = {
  inputName: 'x',
  outputName: 'y',
  multipleOf: 4,
  halo: 8,
  normalisation: { mean: [0, 0, 0], std: [1, 1, 1] },
};

function noise(width: number, height: number, channels: Image['channels']): Image {
  const rng = createRng(width, height);
  return {
    width,
    height,
    channels,
    data: Uint8Array.from({ length: width * height * channels }, () => rng.int(0, 255)),
  };
}

/**
 * A stand-in for a network that is exactly as hard to tile as one: seven 3x3 sums with zeros outside (radius 7 < halo),
 * each times a gain that depends on the position within a 4x4 grid, as after strides and pixel shuffles.
 */
async function network(planes: Float32Array, [, , h, w]: readonly [1, 3, number, number]): Promise<Float32Array> {
  let x = planes.slice();
  for (let layer = 0; layer < 7; layer++) {
    const y = new Float32Array(x.length);
    for (let i = 0; i < x.length; i++) {
      const [column, row, plane] = [i % w, Math.floor(i / w) % h, Math.floor(i / w / h)];
      let sum = 0;
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) {
          const inside = column + dx >= 0 && column + dx < w && row + dy >= 0 && row + dy < h;
          if (inside) sum += x[(plane * h + row + dy) * w + column + dx]!;
        }
      }
      y[i] = (sum / 9) * (1 + 0.05 * ((column % 4) - (row % 4)));
    }
    x = y;
  }
  return x;
}

describe('data: planTiles', () => {
  it('covers every pixel once, aligned, within the tile size, a halo away from every inner window edge', () => {
    const rng = createRng(3);
    for (let round = 0; round < 300; round++) {
      const multipleOf = rng.int(1, 4) * 2;
      const halo = rng.int(0, 20);
      const tile = 2 * (halo + multipleOf) + rng.int(1, 40) + multipleOf;
      const [width, height] = [rng.int(1, 150), rng.int(1, 150)];
      const padded = (length: number): number => Math.ceil(length / multipleOf) * multipleOf;
      const covered = new Uint8Array(width * height);
      for (const { window, crop } of planTiles(width, height, { tile, halo, multipleOf })) {
        for (const value of [window.x, window.y, window.width, window.height]) expect(value % multipleOf).to.equal(0);
        expect(Math.max(window.width, window.height)).to.be.at.most(tile);
        for (const [at, length, from, size, end] of [
          [window.x, window.width, crop.x, crop.width, padded(width)],
          [window.y, window.height, crop.y, crop.height, padded(height)],
        ] as const) {
          if (at > 0) expect(from - at).to.be.at.least(halo);
          if (at + length < end) expect(at + length - from - size).to.be.at.least(halo);
          expect(at + length).to.be.at.most(end);
        }
        for (let y = crop.y; y < crop.y + crop.height; y++) {
          for (let x = crop.x; x < crop.x + crop.width; x++) covered[y * width + x]!++;
        }
      }
      expect(covered.every((times) => times === 1)).to.equal(true);
    }
  });

  it('refuses a tile that is all halo, unless the picture fits in it', () => {
    const sizes = { tile: 64, halo: 32, multipleOf: 8 };
    expect(planTiles(64, 60, sizes)).to.have.length(1);
    expect(() => planTiles(65, 60, sizes)).to.throw(/tile above 2 \* halo = 64/);
  });
});

describe('data: restoreImage', () => {
  it('gives the same bytes tiled and untiled, at every scale, odd size and number of channels', async () => {
    for (const [width, height, channels, scale] of [
      [37, 53, 3, 1],
      [61, 30, 1, 1],
      [23, 41, 4, 2],
      [13, 11, 3, 4],
    ] as const) {
      const make = (tile: number): Promise<Image> =>
        restoreImage(noise(width, height, channels), scale, spec, network, { tile });
      const whole = await make(4096);
      expect([whole.width, whole.height, whole.channels]).to.deep.equal([
        width * scale,
        height * scale,
        channels === 4 ? 4 : 3,
      ]);
      for (const tile of [20, 24, 32]) expect((await make(tile)).data).to.deep.equal(whole.data);
    }
  });

  it('would notice a halo that is too small', async () => {
    const image = noise(61, 47, 3);
    const whole = await restoreImage(image, 1, spec, network, { tile: 4096 });
    const seams = await restoreImage(image, 1, { ...spec, halo: 2 }, network, { tile: 24 });
    expect(seams.data).not.to.deep.equal(whole.data);
  });

  it('tells its progress and stops before the next tile when aborted', async () => {
    const controller = new AbortController();
    const seen: number[][] = [];
    const onProgress = (done: number, total: number): void => {
      seen.push([done, total]);
      if (done === 2) controller.abort(new Error('gone'));
    };
    const image = noise(60, 60, 3);
    const options = { tile: 24, signal: controller.signal, onProgress };
    const failed = await restoreImage(image, 1, spec, network, options).catch((error: FettleError) => error);
    expect((failed as Error).message).to.equal('gone');
    const total = planTiles(60, 60, { ...spec, tile: 24 }).length;
    expect(seen).to.deep.equal([
      [1, total],
      [2, total],
    ]);
    expect(total).to.be.above(2);
  });
});
