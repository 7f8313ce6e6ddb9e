import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { type MaskedItem, readSegmentFolder } from '../../../tasks/segment/folder.node.ts';
import { checkPairs } from '../../../tasks/segment/health.node.ts';
import { classIds, segmentInput, segmentSize } from '../../../tasks/segment/infer.ts';
import { balancedWeights } from '../../../tasks/segment/net.ts';
import type { Image } from '../../../training/core/image.ts';
import { createRng } from '../../../training/core/rng.ts';
import { f32, i32 } from '../../../training/core/tensor.ts';
import type { SampleSpec } from '../../../training/data/sample.ts';
import { writeSample } from '../../../training/data/sample.ts';
import { accCamvid, iou, iouPerClass } from '../../../training/learner/metrics.ts';
import type { Batch } from '../../../training/learner/options.ts';
import { encodePng } from '../../../training/pictures/image-io.node.ts';
import { sharp } from '../../../training/pictures/sharp.node.ts';
import type { Size } from '../../../training/pictures/sizes.ts';
import { noTransforms } from '../../../training/pictures/transforms/augment.ts';
import { type SizeStage, stagedLoader, stageOf } from '../../../training/runs/stages.ts';
import { failureOf } from '../../helpers/blocks.ts';
import { plainImage, wavyImage, withFolder, writePhoto } from '../../helpers/photos.ts';

const classes = [
  { name: 'sky', color: [0, 0, 255] as const },
  { name: 'road', color: [90, 90, 90] as const },
];

/** A mask file of these ids. */
async function writeMask(path: string, width: number, height: number, ids: (i: number) => number): Promise<void> {
  const data = Uint8Array.from({ length: width * height }, (_, i) => ids(i));
  await writeFile(path, await encodePng({ width, height, channels: 1, data }));
}

describe('a data set of photos and masks', () => {
  const write = async (folder: string): Promise<void> => {
    for (const name of ['a', 'b', 'c']) {
      await writePhoto(folder, `${name}.png`, plainImage(6, 4, 50));
      await writeMask(join(folder, `${name}-mask.png`), 6, 4, (i) => (i < 6 ? 255 : i % 2));
    }
    await writeFile(join(folder, 'train.txt'), 'a.png a-mask.png\r\n\nb.png  b-mask.png\n');
    await writeFile(join(folder, 'val.txt'), 'c.png c-mask.png\n');
    const listed = classes.map(({ name, color }, id) => ({ id, name, rgb: color }));
    const voidClass = { id: 255, name: 'void', rgb: [0, 0, 0] };
    await writeFile(join(folder, 'classes.json'), JSON.stringify({ void: 255, classes: [voidClass, ...listed] }));
  };

  it('is read by its lists; the void class is none; a missing test list is an empty part', () =>
    withFolder(async (folder) => {
      await write(folder);
      const data = await readSegmentFolder(folder);
      expect(data.train.map(({ name }) => name)).to.deep.equal(['a.png', 'b.png']);
      expect(data.valid).to.deep.equal([
        { name: 'c.png', path: join(folder, 'c.png'), mask: join(folder, 'c-mask.png') },
      ]);
      expect(data.test).to.deep.equal([]);
      expect(data.classes).to.deep.equal(classes);
      expect(data.voidId).to.equal(255);
    }));

  it('is read from two folders of equal names, a part held out', () =>
    withFolder(async (folder) => {
      await write(folder);
      for (const name of ['train.txt', 'val.txt']) await rm(join(folder, name));
      for (let i = 0; i < 20; i++) {
        await writePhoto(join(folder, 'images'), `s/${i}.jpg`, plainImage(6, 4, 50));
        await writePhoto(join(folder, 'masks'), `s/${i}.png`, plainImage(6, 4, 0));
      }
      const { train, valid, test } = await readSegmentFolder(folder);
      expect([train.length + valid.length, test.length]).to.deep.equal([20, 0]);
      expect(valid.length).to.equal(4);
      for (const { name, mask } of [...train, ...valid])
        expect(mask).to.equal(join(folder, 'masks', name.replace('.jpg', '.png')));
      const other = await readSegmentFolder(folder, 2);
      expect(other.valid.map(({ name }) => name)).not.to.deep.equal(valid.map(({ name }) => name));
      await writePhoto(join(folder, 'images'), 'valid/x.jpg', plainImage(6, 4, 50));
      expect(await failureOf(readSegmentFolder(folder))).to.match(/expected a mask for images\/valid\/x.jpg, got none/);
      await writePhoto(join(folder, 'masks'), 'valid/x.png', plainImage(6, 4, 0));
      expect((await readSegmentFolder(folder)).valid.map(({ name }) => name)).to.deep.equal(['valid/x.jpg']);
    }));

  it('says what is missing or wrong', () =>
    withFolder(async (folder) => {
      expect(await failureOf(readSegmentFolder(folder))).to.match(
        /expected classes.json with train.txt and val.txt, .* or annotations.json in .*, got none of/,
      );
      await write(folder);
      await writeFile(join(folder, 'val.txt'), 'c.png\n');
      expect(await failureOf(readSegmentFolder(folder))).to.match(
        /val.txt, line 1: expected a photo and its mask, got 'c.png'/,
      );
      await write(folder);
      await writeFile(
        join(folder, 'classes.json'),
        '{"void":255,"classes":[{"id":0,"name":"x","rgb":[0,0,0]},{"id":2,"name":"y","rgb":[0,0,0]}]}',
      );
      expect(await failureOf(readSegmentFolder(folder))).to.match(/classes of ids 0, 1, ..., got 0,2/);
      await writeFile(join(folder, 'classes.json'), '[1');
      expect(await failureOf(readSegmentFolder(folder))).to.match(/classes.json: expected JSON/);
    }));

  it('needs photos in both parts, and none in both', () =>
    withFolder(async (folder) => {
      await write(folder);
      await writeFile(join(folder, 'val.txt'), 'c.png c-mask.png\nb.png b-mask.png\na.png a-mask.png\n');
      expect(await failureOf(readSegmentFolder(folder))).to.match(
        /expected each photo of .* in one of train.txt and val.txt, got b.png and 1 more in both/,
      );
      await writeFile(join(folder, 'val.txt'), '');
      expect(await failureOf(readSegmentFolder(folder))).to.match(
        /photos to measure with in .*, got 2 and 0; add pairs/,
      );
      for (const name of ['train.txt', 'val.txt']) await rm(join(folder, name));
      for (const part of ['images', 'masks']) await writePhoto(join(folder, part), 'a.png', plainImage(6, 4, 0));
      expect(await failureOf(readSegmentFolder(folder))).to.match(
        /photos to measure with in .*, got 1 and 0; add pairs/,
      );
    }));

  it('a look at every pair counts the classes and names what cannot be used', () =>
    withFolder(async (folder) => {
      await write(folder);
      await writePhoto(folder, 'wide.png', plainImage(7, 4, 50));
      await writeMask(join(folder, 'odd.png'), 6, 4, (i) => (i === 3 ? 9 : 1));
      const pair = (name: string, mask: string): MaskedItem => ({
        name,
        path: join(folder, name),
        mask: join(folder, mask),
      });
      const items = [
        pair('a.png', 'a-mask.png'),
        pair('wide.png', 'a-mask.png'),
        pair('b.png', 'odd.png'),
        pair('c.png', 'none.png'),
        pair('b.png', 'b-mask.png'),
      ];
      const { pixels, voidPixels, problems } = await checkPairs(items, { classes, voidId: 255 });
      expect([pixels, voidPixels]).to.deep.equal([[18, 18], 12]);
      expect(problems.map(({ name }) => name)).to.deep.equal(['wide.png', 'b.png', 'c.png']);
      expect(problems.map(({ reason }) => reason)).to.satisfy(([size, unknown, missing]: string[]) =>
        [/photo 7x4, mask 6x4/.test(size!), /unknown ids 9/.test(unknown!), /ENOENT/.test(missing!)].every(Boolean),
      );
    }));

  it('the mask of a photo that is turned when it is read lies as the upright photo does', () =>
    withFolder(async (folder) => {
      const photo = join(folder, 'turned.jpg');
      await sharp({ create: { width: 4, height: 6, channels: 3, background: '#555' } })
        .withMetadata({ orientation: 6 })
        .jpeg()
        .toFile(photo);
      await writePhoto(folder, 'upright.png', { width: 6, height: 4, channels: 1, data: new Uint8Array(24) });
      await writePhoto(folder, 'stored.png', { width: 4, height: 6, channels: 1, data: new Uint8Array(24) });
      const items = ['upright.png', 'stored.png'].map((name) => ({ name, path: photo, mask: join(folder, name) }));
      const { pixels, problems } = await checkPairs(items, { classes, voidId: 255 });
      expect([pixels, problems]).to.deep.equal([[24, 0], [{ name: 'stored.png', reason: 'photo 6x4, mask 4x6' }]]);
    }));
});

describe('a picture and the net', () => {
  it('goes in as the validation pictures of the training do', () => {
    const image = wavyImage(97, 61, 3);
    const size: Size = { width: 40, height: 24 };
    const spec: SampleSpec = {
      size,
      channels: 3,
      resize: 'squish',
      presize: undefined,
      transforms: noTransforms,
      tfmY: true,
      label: { kind: 'category', classes: 1, values: 0, ignoreId: undefined },
    };
    const views = { x: new Float32Array(3 * 40 * 24), y: new Int32Array(1) };
    writeSample({ x: image, y: [0] }, spec, 'valid', createRng(1), views);
    const { data, dims } = segmentInput(image, size);
    expect(dims).to.deep.equal([1, 3, 24, 40]);
    expect(Math.max(...data.map((value, i) => Math.abs(value - views.x[i]!)))).to.be.below(1e-6);
  });

  it('at a short side of whole eights', () => {
    expect(segmentSize({ width: 480, height: 360 }, 240)).to.deep.equal({ width: 320, height: 240 });
    expect(segmentSize({ width: 100, height: 333 }, 50)).to.deep.equal({ width: 48, height: 168 });
    expect(segmentSize({ width: 5, height: 5 }, 1)).to.deep.equal({ width: 8, height: 8 });
  });

  it('its probabilities become classes, enlarged bilinearly', () => {
    const rng = createRng('ids');
    const [height, width, count] = [3, 4, 3];
    const p = f32([1, count, height, width], Array.from({ length: count * height * width }, rng.next));
    const same = classIds(p, { width, height });
    const most = (i: number): number => [0, 1, 2].toSorted((a, b) => p.data[b * 12 + i]! - p.data[a * 12 + i]!)[0]!;
    expect([...same.data]).to.deep.equal(Array.from({ length: 12 }, (_, i) => most(i)));
    // One row of two pixels, made four times as wide: the middle lies where the two are equal.
    const two = f32([1, 2, 1, 2], [0.9, 0.2, 0.1, 0.8]);
    // At 0.25 a step from -0.375: 0, 0, .125, .375 | .625, .875, 1, 1 of the way; the classes are equal at 4/7.
    expect([...classIds(two, { width: 8, height: 2 }).data]).to.deep.equal([
      0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1,
    ]);
  });

  it('a grey picture goes in as three equal planes, and what is transparent as white', () => {
    const size = { width: 2, height: 1 };
    const grey: Image = { ...size, channels: 1, data: Uint8Array.of(51, 255) };
    const shade = Math.fround(51 / 255);
    expect([...segmentInput(grey, size).data]).to.deep.equal([shade, 1, shade, 1, shade, 1]);
    const clear: Image = { ...size, channels: 4, data: Uint8Array.of(0, 51, 0, 255, 9, 9, 9, 0) };
    expect([...segmentInput(clear, size).data]).to.deep.equal([0, 1, shade, 1, 0, 1]);
  });
});

describe('numbers of a segmentation', () => {
  // Three classes, 11 is void. Predicted 0 1 1 2 0, labelled 0 1 2 11 1.
  const predicted = [0, 1, 1, 2, 0];
  const scores = f32(
    [1, 3, 1, 5],
    [0, 1, 2].flatMap((c) => predicted.map((best) => (best === c ? 1 : 0))),
  );
  const labels = i32([1, 1, 5], [0, 1, 2, 11, 1]);
  const value = (metric: ReturnType<typeof accCamvid>): number => {
    const run = metric.start();
    run.add(scores, labels);
    return run.value();
  };

  it('leave void pixels out', () => {
    expect(accCamvid().name).to.equal('acc_camvid');
    expect(value(accCamvid())).to.equal(2 / 4);
    expect(value(accCamvid(1))).to.be.closeTo(1 / 3, 1e-12);
  });

  it('give the IoU of each class and their mean', () => {
    const each = iouPerClass(['sky', 'road', 'tree'], { ignore: 11 });
    expect(each.map(({ name }) => name)).to.deep.equal(['iou_sky', 'iou_road', 'iou_tree']);
    expect(each.map(value)).to.deep.equal([1 / 2, 1 / 3, 0]);
    expect(value(iou({ ignore: 11 }))).to.be.closeTo((1 / 2 + 1 / 3) / 3, 1e-12);
  });

  it('weigh rare classes more, by a power', () => {
    expect(balancedWeights([100, 400, 25, 0], 0.5)).to.deep.equal([1, 0.5, 2, 1]);
    expect(balancedWeights([100, 400, 25], 0)).to.deep.equal([1, 1, 1]);
  });
});

describe('a loader whose pictures grow', () => {
  const stages = [
    { epochs: 2, size: { width: 4, height: 3 } },
    { epochs: 1, size: { width: 8, height: 6 } },
  ];
  /** What is opened and closed, and the batches `width/epoch/index`. */
  function watched() {
    const events: string[] = [];
    const open = async ({ size: { width } }: SizeStage) => {
      events.push(`open ${width}`);
      return {
        train: {
          batchesPerEpoch: 3,
          async *epoch(epoch: number, { fromBatch = 0 } = {}): AsyncGenerator<Batch> {
            for (let i = fromBatch; i < 3; i++) yield { x: f32([3], [width, epoch, i]), y: i32([1], [0]) };
          },
        },
        close: async () => void events.push(`close ${width}`),
      };
    };
    const staged = stagedLoader({ stages, passes: 2, perPass: () => 3, open });
    const batches = async (epoch: number, fromBatch = 0): Promise<string[]> => {
      const out: string[] = [];
      for await (const { x } of staged.loader.epoch(epoch, { fromBatch })) out.push([...x.data].join('/'));
      return out;
    };
    return { events, staged, batches };
  }

  it('an epoch is some passes; each stage is opened once, and let go', async () => {
    const { events, staged, batches } = watched();
    expect(staged.loader.batchesPerEpoch).to.equal(6);
    expect(await batches(0)).to.deep.equal(['4/0/0', '4/0/1', '4/0/2', '4/1/0', '4/1/1', '4/1/2']);
    expect(await batches(1)).to.deep.equal(['4/2/0', '4/2/1', '4/2/2', '4/3/0', '4/3/1', '4/3/2']);
    expect(await batches(2)).to.deep.equal(['8/4/0', '8/4/1', '8/4/2', '8/5/0', '8/5/1', '8/5/2']);
    await staged.close();
    expect(events).to.deep.equal(['open 4', 'close 4', 'open 8', 'close 8']);
  });

  it('begins in the middle with the batches that would have come', async () => {
    const { batches } = watched();
    for (const epoch of [0, 2])
      for (const from of [1, 3, 5])
        expect(await batches(epoch, from)).to.deep.equal((await batches(epoch)).slice(from));
  });

  it('stages follow each other; the last one continues', () => {
    expect([0, 1, 2, 3].map((epoch) => stageOf(stages, epoch))).to.deep.equal([0, 0, 1, 1]);
  });
});
