import { expect } from 'chai';
import type { Image } from '../../../training/core/image.ts';
import { createRng } from '../../../training/core/rng.ts';
import {
  checkTransforms,
  drawTransforms,
  getTransforms,
  randPad,
  samplingOf,
  type Transform,
  tablesOf,
} from '../../../training/pictures/transforms/augment.ts';
import { frameFor, frameMatrix, randomFrame } from '../../../training/pictures/transforms/frame.ts';
import {
  dihedral,
  identity,
  mapPoint,
  multiply,
  projection,
  rotation,
  scaling,
} from '../../../training/pictures/transforms/geometry.ts';
import { lightingTable, logit, saturate } from '../../../training/pictures/transforms/lighting.ts';
import {
  boxShrink,
  type Padding,
  sampleImage,
  sampleMask,
  samplePlanes,
  unitTable,
} from '../../../training/pictures/transforms/resample.ts';

const grey = (width: number, height: number, value: (x: number, y: number) => number): Image => ({
  width,
  height,
  channels: 1,
  data: Uint8Array.from({ length: width * height }, (_, i) => value(i % width, Math.floor(i / width))),
});

/** A plane x + 2y: bilinear sampling gives its exact value anywhere. */
const ramp = grey(60, 48, (x, y) => x + 2 * y);
const size = { width: 40, height: 40 };
const sizes = { source: ramp, out: size, resize: 'crop' as const };

const sampled = (image: Image, sampling: Parameters<typeof samplePlanes>[1]): Float32Array => {
  const out = new Float32Array(sampling.size.width * sampling.size.height);
  samplePlanes(image, sampling, [unitTable], out);
  return out.map((value) => 255 * value);
};

/** Where the transform list of seed `seed` reads each output pixel of the ramp, in source pixels. */
function checkOnRamp(transforms: readonly Transform[], seed: number): number {
  const sampling = samplingOf(drawTransforms(transforms, createRng(seed), sizes), size, 'border');
  const values = sampled(ramp, sampling);
  let [inside, worst] = [0, 0];
  values.forEach((value, i) => {
    const [u, v] = [(i % 40) + 0.5 - 20, Math.floor(i / 40) + 0.5 - 20];
    const [fx, fy] = mapPoint(sampling.matrix, u, v);
    const [x, y] = [fx * 60 - 0.5, fy * 48 - 0.5];
    if (x < 0 || y < 0 || x > 59 || y > 47) return;
    inside++;
    worst = Math.max(worst, Math.abs(value - x - 2 * y));
  });
  expect(worst).to.be.below(1e-3);
  return inside;
}

describe('geometry of pictures', () => {
  it('maps compose, turn clockwise and swap sides as they say', () => {
    const both = multiply(scaling(2, 3), rotation(90));
    expect(mapPoint(rotation(90), 1, 0).map(Math.round)).to.deep.equal([0, 1]);
    expect(mapPoint(both, 1, 0).map(Math.round)).to.deep.equal([0, 3]);
    expect(new Set(Array.from({ length: 8 }, (_, i) => String(mapPoint(dihedral(i), 1, 2)))).size).to.equal(8);
    for (let i = 0; i < 8; i++) expect(mapPoint(dihedral(i), 1, 2).map(Math.abs).sort()).to.deep.equal([1, 2]);
  });

  it('a projection takes its four points to their partners', () => {
    const from = [
      [-1, -1],
      [-1, 1],
      [1, -1],
      [1, 1],
    ] as const;
    const to = [
      [-1.2, -0.9],
      [-0.8, 1.1],
      [1.3, -1],
      [0.9, 1.4],
    ] as const;
    const map = projection(from, to);
    from.forEach(([x, y], i) => {
      const [u, v] = mapPoint(map, x, y);
      expect(u).to.be.closeTo(to[i]![0], 1e-12);
      expect(v).to.be.closeTo(to[i]![1], 1e-12);
    });
  });

  it('every transform, perspective too, samples the source exactly where its map says', () => {
    const p = 1;
    const lists: readonly Transform[][] = [
      [{ kind: 'flip', p }],
      [{ kind: 'dihedral', p }],
      [{ kind: 'rotate', degrees: [-30, 30], p }],
      [{ kind: 'zoom', scale: [1.1, 2], p }],
      [{ kind: 'warp', magnitude: [-0.2, 0.2], p }],
      [{ kind: 'randomCrop' }],
      [{ kind: 'randPad', padding: 5 }],
      [{ kind: 'randomResizedCrop', area: [0.3, 1], ratio: [0.75, 4 / 3] }],
      [...getTransforms().train],
    ];
    for (const list of lists) for (let seed = 0; seed < 5; seed++) expect(checkOnRamp(list, seed)).to.be.above(600);
  });

  it('a rotation by 90 degrees turns the picture clockwise', () => {
    const corner = grey(4, 4, (x, y) => (x === 0 && y === 0 ? 200 : 0));
    const sizes4 = { source: corner, out: { width: 4, height: 4 }, resize: 'squish' as const };
    const drawn = drawTransforms([{ kind: 'rotate', degrees: [90, 90], p: 1 }], createRng(1), sizes4);
    const turned = sampleImage(corner, samplingOf(drawn, sizes4.out, 'zeros'));
    expect([...turned.data].map((value, i) => [i, value]).filter(([, value]) => value! > 0)).to.deep.equal([[3, 200]]);
  });
});

describe('resampling', () => {
  const square = { width: 4, height: 4 };
  const numbered = grey(4, 4, (x, y) => 16 * y + x + 1);
  const shifted = (dx: number, dy: number, padding: Padding): number[] => {
    const matrix = [1 / 4, 0, 0.5 + dx / 4, 0, 1 / 4, 0.5 + dy / 4, 0, 0, 1];
    return [...sampled(numbered, { matrix, size: square, padding })].map(Math.round);
  };

  it('whole pixels are copied; outside is the mirror image, the edge, or nothing', () => {
    const row = (y: number, ...xs: number[]): number[] => xs.map((x) => (x < 0 ? 0 : 16 * y + x + 1));
    expect(shifted(0, 0, 'zeros')).to.deep.equal([...numbered.data]);
    expect(shifted(-2, 0, 'reflection').slice(0, 4)).to.deep.equal(row(0, 2, 1, 0, 1));
    expect(shifted(-2, 0, 'border').slice(0, 4)).to.deep.equal(row(0, 0, 0, 0, 1));
    expect(shifted(-2, 0, 'zeros').slice(0, 4)).to.deep.equal(row(0, -1, -1, 0, 1));
    expect(shifted(2, 1, 'reflection').slice(8, 12)).to.deep.equal(row(3, 2, 3, 2, 1));
  });

  it('the copy of whole pixels and the interpolation agree', () => {
    for (const padding of ['reflection', 'border', 'zeros'] as const) {
      const tiny = 1e-5; // enough that the copy is not taken
      const near = shifted(-1 + tiny, 2 + tiny, padding);
      expect(near).to.deep.equal(shifted(-1, 2, padding));
    }
  });

  it('a picture that shrinks does not alias', () => {
    const checker = grey(64, 64, (x, y) => ((x + y) % 2 ? 255 : 0));
    const frame = frameMatrix({ x: 0, y: 0, width: 1, height: 1 }, { width: 15, height: 15 });
    const values = sampled(checker, { matrix: frame, size: { width: 15, height: 15 }, padding: 'border' });
    expect(Math.max(...values.map((value) => Math.abs(value - 127.5)))).to.be.below(2);
    // To a third, where every third pixel would be a whole one: blocks of nine hold four or five white ones.
    const third = { matrix: frame, size: { width: 15, height: 15 }, padding: 'border' } as const;
    const means = sampled(
      grey(45, 45, (x, y) => ((x + y) % 2 ? 255 : 0)),
      third,
    );
    expect(new Set(means.map((value) => Math.round(value)))).to.deep.equal(new Set([113, 142]));
    const odd = boxShrink(
      grey(5, 3, (x, y) => 10 * x + y),
      2,
    );
    expect([odd.width, odd.height, ...odd.data]).to.deep.equal([3, 2, 6, 26, 41, 7, 27, 42]);
  });

  it('a mask never has a new class id, and lies on its photo at half the size', () => {
    const ids = [0, 3, 7];
    const mask = grey(30, 24, (x, y) => ids[(x > 14 ? 1 : 0) + (y > 11 ? 1 : 0)]!);
    const photo = grey(60, 48, (x, y) => 60 * ((x > 29 ? 1 : 0) + (y > 23 ? 1 : 0)));
    const strong = getTransforms({ maxRotate: 40, maxZoom: 1.6, maxWarp: 0.3, pAffine: 1 }).train;
    const out = new Int32Array(1600);
    for (let seed = 0; seed < 20; seed++) {
      const sampling = samplingOf(drawTransforms(strong, createRng(seed), sizes), size, 'reflection');
      sampleMask(mask, sampling, 99, out);
      expect([...out].filter((id) => !ids.includes(id))).to.deep.equal([]);
      const light = sampled(photo, sampling);
      const wrong = [...out].filter((id, i) => light[i]! % 60 === 0 && id !== ids[light[i]! / 60]);
      expect(wrong.length).to.be.below(40); // pixels at the edge of the mask's coarser grid
      sampleMask(mask, { ...sampling, padding: 'zeros' }, 99, out);
      expect([...new Set(out)].every((id) => ids.includes(id) || id === 99)).to.equal(true);
    }
  });

  it('transparency is not lit', () => {
    const pixel: Image = { width: 1, height: 1, channels: 4, data: Uint8Array.of(100, 100, 100, 100) };
    const sampling = {
      matrix: multiply([1, 0, 0.5, 0, 1, 0.5, 0, 0, 1], identity),
      size: pixel,
      padding: 'border' as const,
    };
    const lit = sampleImage(pixel, sampling, lightingTable({ shift: 1, contrast: 1 }));
    expect(lit.data[0]).to.be.above(140);
    expect(lit.data[3]).to.equal(100);
  });
});

describe('light', () => {
  it('adds to and scales the logit, and never clips', () => {
    const table = lightingTable({ shift: logit(0.6), contrast: 1.25 });
    expect(logit(table[100]!)).to.be.closeTo(1.25 * (logit(100 / 255) + logit(0.6)), 1e-4);
    expect(new Set(table.subarray(1, 255)).size).to.equal(254);
    const plain = lightingTable({ shift: 0, contrast: 1 });
    plain.forEach((value, byte) => {
      expect(value).to.be.closeTo(byte / 255, 2e-6);
    });
  });

  it('a tint shifts each channel by its own amount, and leaves grey pictures alone', () => {
    const drawn = drawTransforms([{ kind: 'tint', change: [0.3, 0.7], p: 1 }], createRng(4), sizes);
    const { tint } = drawn.lighting!;
    expect(new Set(tint).size).to.equal(3);
    for (const [c, table] of tablesOf(drawn, 3).entries())
      expect(logit(table[100]!) - logit(100 / 255)).to.be.closeTo(tint[c]!, 1e-4);
    const [grey] = tablesOf(drawn, 1);
    expect(grey![100]).to.be.closeTo(100 / 255, 1e-6);
  });

  it('saturation 0 is the luma, 1 the picture, 2 clips; normalised planes come out normalised', () => {
    const colours = [0.9, 0.1, 0.5, 0.2, 0.6, 0.5];
    const planes = (factor: number): number[] => {
      const made = Float32Array.from(colours);
      saturate(made, factor);
      return [...made];
    };
    const grey = 0.299 * 0.9 + 0.587 * 0.5 + 0.114 * 0.6;
    for (const c of [0, 1, 2]) expect(planes(0)[2 * c]).to.be.closeTo(grey, 1e-6);
    for (const [i, value] of planes(1).entries()) expect(value).to.be.closeTo(colours[i]!, 1e-6);
    expect(planes(2)[0]).to.equal(1);
    const statistics = { mean: [0.4, 0.5, 0.6], std: [0.2, 0.3, 0.25] };
    const normalise = (value: number, i: number): number => {
      const c = Math.floor(i / 2);
      return (value - statistics.mean[c]!) / statistics.std[c]!;
    };
    const normalised = Float32Array.from(colours, normalise);
    saturate(normalised, 0.4, statistics);
    for (const [i, value] of planes(0.4).entries()) expect(normalised[i]).to.be.closeTo(normalise(value, i), 1e-5);
  });

  it('saturation is drawn evenly over its range', () => {
    const rng = createRng(9);
    const factors = Array.from({ length: 400 }, () => {
      return drawTransforms([{ kind: 'saturation', scale: [0, 2], p: 1 }], rng, sizes).lighting!.saturation;
    });
    expect(Math.min(...factors)).to.be.below(0.05);
    expect(Math.max(...factors)).to.be.within(1.95, 2);
    expect(factors.reduce((sum, factor) => sum + factor, 0) / 400).to.be.closeTo(1, 0.1);
  });
});

describe('getTransforms', () => {
  it("has fastai's transforms, ranges and probabilities", () => {
    expect(getTransforms()).to.deep.equal({
      train: [
        { kind: 'randomCrop' },
        { kind: 'flip', p: 0.5 },
        { kind: 'warp', magnitude: [-0.2, 0.2], p: 0.75 },
        { kind: 'rotate', degrees: [-10, 10], p: 0.75 },
        { kind: 'zoom', scale: [1, 1.1], p: 0.75 },
        { kind: 'brightness', change: [0.4, 0.6], p: 0.75 },
        { kind: 'contrast', scale: [0.8, 1.25], p: 0.75 },
      ],
      valid: [],
      padding: 'reflection',
    });
    const none = getTransforms({ doFlip: false, maxRotate: 0, maxZoom: 1, maxLighting: 0, maxWarp: 0 });
    expect(none.train).to.deep.equal([{ kind: 'randomCrop' }]);
    expect(getTransforms({ flipVert: true }).train[1]).to.deep.equal({ kind: 'dihedral', p: 1 });
  });

  it('each transform acts as often as its probability says, within its range', () => {
    const rng = createRng(5);
    const square = { source: size, out: size, resize: 'squish' as const };
    const share = (acts: (t: ReturnType<typeof drawTransforms>) => boolean, list: readonly Transform[]): number => {
      let count = 0;
      for (let i = 0; i < 2000; i++) count += acts(drawTransforms(list, rng, square)) ? 1 : 0;
      return count / 2000;
    };
    const moved = ({ geometry }: { readonly geometry: readonly number[] }): boolean =>
      geometry.some((v, i) => v !== identity[i]);
    for (const transform of getTransforms().train.slice(2, 5))
      expect(share(moved, [transform])).to.be.closeTo(0.75, 0.04);
    expect(share(moved, [{ kind: 'flip', p: 0.5 }])).to.be.closeTo(0.5, 0.04);
    expect(share(moved, [{ kind: 'dihedral', p: 1 }])).to.be.closeTo(7 / 8, 0.04);
    const angles = Array.from({ length: 500 }, () => {
      const { geometry } = drawTransforms([{ kind: 'rotate', degrees: [-10, 10], p: 1 }], rng, square);
      return (Math.atan2(geometry[1]!, geometry[0]!) * 180) / Math.PI;
    });
    expect([Math.min(...angles), Math.max(...angles)].map((angle) => Math.round(angle / 2))).to.deep.equal([-5, 5]);
    for (let i = 0; i < 200; i++) {
      const { lighting } = drawTransforms(getTransforms({ pLighting: 1 }).train, rng, square);
      expect(Math.abs(lighting!.shift)).to.be.at.most(logit(0.6) + 1e-9);
      expect(lighting!.contrast).to.be.within(0.8, 1.25);
    }
    expect(tablesOf(drawTransforms([{ kind: 'flip', p: 1 }], rng, square), 1)[0]).to.equal(unitTable);
  });

  it('the same stream gives the same choices; a transform that does not act takes its numbers all the same', () => {
    const list = (p: number): Transform[] => [
      { kind: 'rotate', degrees: [-9, 9], p },
      { kind: 'brightness', change: [0.3, 0.7], p: 1 },
    ];
    const draw = (p: number) => drawTransforms(list(p), createRng(3, 'a'), sizes);
    expect(draw(1)).to.deep.equal(draw(1));
    expect(draw(0).lighting).to.deep.equal(draw(1).lighting);
  });

  it('randPad shows every whole shift and nothing else', () => {
    const digit = grey(5, 5, (x, y) => 5 * y + x + 1);
    const five = { source: digit, out: digit, resize: 'crop' as const };
    const rng = createRng(8);
    const { train, padding } = randPad(1, 'zeros');
    const seen = new Set<string>();
    for (let i = 0; i < 200; i++) {
      const sampling = samplingOf(drawTransforms(train, rng, five), { width: 5, height: 5 }, padding);
      seen.add(String(sampleImage(digit, sampling).data));
    }
    const expected = [-1, 0, 1].flatMap((dy) =>
      [-1, 0, 1].map((dx) => {
        const at = (x: number, y: number): number => (x < 0 || y < 0 || x > 4 || y > 4 ? 0 : 5 * y + x + 1);
        return String(grey(5, 5, (x, y) => at(x + dx, y + dy)).data);
      }),
    );
    expect([...seen].sort()).to.deep.equal(expected.sort());
  });

  it('refuses what cannot be meant', () => {
    expect(() => getTransforms({ maxWarp: 0.5 })).to.throw(/warp: expected magnitude within -0.49..0.49/);
    expect(() => getTransforms({ pAffine: 1.5 })).to.throw(/expected p within 0..1/);
    expect(() => checkTransforms([{ kind: 'zoom', scale: [2, 1], p: 1 }])).to.throw(/low first, got 2,1/);
  });
});

describe('frames', () => {
  const source = { width: 200, height: 100 };
  const out = { width: 50, height: 50 };

  it('squish, crop and pad', () => {
    expect(frameFor(source, out, 'squish')).to.deep.equal({ x: 0, y: 0, width: 1, height: 1 });
    expect(frameFor(source, out, 'crop')).to.deep.equal({ x: 0.25, y: 0, width: 0.5, height: 1 });
    expect(frameFor(source, out, 'crop', { x: 1, y: 0 })).to.deep.equal({ x: 0.5, y: 0, width: 0.5, height: 1 });
    expect(frameFor(source, out, 'pad')).to.deep.equal({ x: 0, y: -0.5, width: 1, height: 2 });
  });

  it('random crops lie inside, with the area and shape asked for', () => {
    const rng = createRng(2);
    const areas: number[] = [];
    for (let i = 0; i < 500; i++) {
      const { x, y, width, height } = randomFrame(source, out, { area: [0.1, 0.4], ratio: [0.75, 4 / 3] }, rng);
      expect(Math.min(x, y, 1 - x - width, 1 - y - height)).to.be.at.least(-1e-12);
      expect((width * 200) / (height * 100)).to.be.within(0.75 - 1e-9, 4 / 3 + 1e-9);
      areas.push(width * height);
    }
    expect([Math.min(...areas), Math.max(...areas)].map((area) => Math.round(10 * area))).to.deep.equal([1, 4]);
    const wide = randomFrame({ width: 1000, height: 10 }, out, { area: [0.9, 1], ratio: [1, 1] }, rng);
    expect(wide.height).to.equal(1);
    expect(wide.width).to.be.closeTo(0.01, 1e-12);
  });
});
