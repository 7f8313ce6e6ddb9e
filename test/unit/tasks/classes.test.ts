import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { ClassifyModelSpec } from '../../../tasks/classify/contract.ts';
import { classifyInput, topLabels } from '../../../tasks/classify/infer.ts';
import type { Image } from '../../../training/core/image.ts';
import { createRng } from '../../../training/core/rng.ts';
import { f32 } from '../../../training/core/tensor.ts';
import { createDataLoaders, dataBlock } from '../../../training/data/block.node.ts';
import { parentFolder } from '../../../training/data/labellers.ts';
import { fromFolder } from '../../../training/data/sources.node.ts';
import { splitByFolder } from '../../../training/data/splitters.ts';
import type { FileItem } from '../../../training/data/types.ts';
import { decodeRgb } from '../../../training/pictures/decode.node.ts';
import { encodePng } from '../../../training/pictures/image-io.node.ts';
import { getTransforms } from '../../../training/pictures/transforms/augment.ts';
import { collect, withLoaders } from '../../helpers/blocks.ts';
import { wavyImage, withFolder, writePhoto } from '../../helpers/photos.ts';

const specOf = (options: Partial<ClassifyModelSpec>): ClassifyModelSpec => ({
  inputName: 'image',
  outputName: 'probabilities',
  width: 24,
  height: 20,
  resize: 'crop',
  classes: ['cat', 'dog'],
  normalisation: { mean: [0, 0, 0], std: [1, 1, 1] },
  ...options,
});

/** A picture whose channels have nothing to do with one another. */
function noise(width: number, height: number, channels: Image['channels']): Image {
  const rng = createRng(width, height, channels);
  return {
    width,
    height,
    channels,
    data: Uint8Array.from({ length: width * height * channels }, () => rng.int(0, 255)),
  };
}

/** The validation samples that a data block makes of files with these pictures. */
async function validationSamples(folder: string, spec: ClassifyModelSpec, pictures: readonly Image[]) {
  for (const name of ['train/cat/a.png', 'train/dog/b.png']) await writePhoto(folder, name, wavyImage(30, 30, 1));
  for (const [i, picture] of pictures.entries()) await writePhoto(folder, `valid/cat/${i}.png`, picture);
  const block = dataBlock({
    get: fromFolder(),
    split: splitByFolder(),
    label: parentFolder<FileItem>(),
    size: { width: spec.width, height: spec.height },
    resize: spec.resize,
    transforms: getTransforms(),
    batchSize: 2,
    validBatchSize: pictures.length,
  });
  const [batch] = await withLoaders(createDataLoaders(block, folder), ({ valid }) => collect(valid));
  const one = batch!.x.length / pictures.length;
  return pictures.map((_, i) => batch!.x.subarray(i * one, (i + 1) * one));
}

describe('a picture and the classifier', () => {
  const pictures = [
    ['smaller than the net takes', noise(9, 13, 3)],
    ['a little larger', noise(31, 27, 3)],
    ['much wider', noise(240, 53, 3)],
    ['much higher, an odd multiple', noise(72, 201, 3)],
    ['of exactly the size', noise(24, 20, 3)],
    ['grey', noise(57, 40, 1)],
    ['with transparency', noise(57, 40, 4)],
  ] as const;
  for (const resize of ['crop', 'squish'] as const) {
    it(`goes in as a data block's validation sample, bit for bit: ${resize}`, () =>
      withFolder(async (folder) => {
        const spec = specOf({ resize });
        const images = pictures.map(([, image]) => image);
        const samples = await validationSamples(folder, spec, images);
        for (const [i, [what, image]] of pictures.entries()) {
          const { data, dims } = classifyInput(image, spec);
          expect(dims, what).to.deep.equal([1, 3, 20, 24]);
          expect(data, what).to.deep.equal(samples[i]);
        }
      }));
  }

  it('what is transparent is white, whatever colour it hides; half of black is grey', async () => {
    const hidden = (alpha: number, level: number): Image => ({
      width: 2,
      height: 1,
      channels: 4,
      data: Uint8Array.from([level, level, level, alpha, level, level, level, alpha]),
    });
    const spec = specOf({ width: 2, height: 1 });
    expect([...classifyInput(hidden(0, 17), spec).data]).to.deep.equal([1, 1, 1, 1, 1, 1]);
    expect(classifyInput(hidden(128, 0), spec).data[0]).to.equal(Math.fround(127 / 255));
  });

  it('every transparency is put on white as the decoder does', () =>
    withFolder(async (folder) => {
      const data = new Uint8Array(4 * 256 * 256);
      for (let i = 0; i < 256 * 256; i++) data.set([i & 255, 255 - (i & 255), (7 * i) & 255, i >> 8], 4 * i);
      const image: Image = { width: 256, height: 256, channels: 4, data };
      const path = join(folder, 'all.png');
      await writeFile(path, await encodePng(image));
      const spec = specOf({ width: 256, height: 256 });
      expect(classifyInput(image, spec).data).to.deep.equal(classifyInput(await decodeRgb(path), spec).data);
    }));
});

describe('topLabels', () => {
  const classes = ['ant', 'bee', 'cat', 'dog'];
  const probabilities = f32([1, 4], [0.25, 0.125, 0.375, 0.25]);

  it('gives the likeliest first, of equal ones in the order of the classes', () => {
    expect(topLabels(probabilities, classes, 3)).to.deep.equal([
      { label: 'cat', probability: 0.375 },
      { label: 'ant', probability: 0.25 },
      { label: 'dog', probability: 0.25 },
    ]);
  });

  it('gives all there are when more are asked for', () => {
    expect(topLabels(probabilities, classes, 9).map(({ label }) => label)).to.deep.equal(['cat', 'ant', 'dog', 'bee']);
  });

  it('refuses another number of classes, and a top that is not valid', () => {
    expect(() => topLabels(probabilities, classes.slice(1), 1)).to.throw(/each of 3 classes, got 4/);
    for (const top of [0, 1.5, Number.NaN]) expect(() => topLabels(probabilities, classes, top)).to.throw(/from 1/);
  });
});
