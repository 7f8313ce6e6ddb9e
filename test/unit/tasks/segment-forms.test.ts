import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import { readSegmentFolder, type SegmentData } from '../../../tasks/segment/folder.node.ts';
import { checkPairs } from '../../../tasks/segment/health.node.ts';
import type { Image } from '../../../training/core/image.ts';
import { encodePng } from '../../../training/pictures/image-io.node.ts';
import { readMask } from '../../../training/pictures/masks/mask-file.node.ts';
import { encodePaletteIds } from '../../../training/pictures/masks/palette-png.node.ts';
import { encodeRle } from '../../../training/pictures/masks/rle.ts';
import { failureOf } from '../../helpers/blocks.ts';
import { plainImage, withFolder, writePhoto } from '../../helpers/photos.ts';

const [width, height] = [6, 4];

/** Class ids that differ from picture to picture: two rows of class 0, then 1 and, from the right, 2 where there are three. */
const idsOf = (picture: number, classes: number): Uint8Array =>
  Uint8Array.from({ length: width * height }, (_, i) => {
    if (i < 2 * width) return 0;
    return i % width >= width - 1 - picture && classes > 2 ? 2 : 1;
  });

const grey = (data: Uint8Array): Image => ({ width, height, channels: 1, data });
const colors = [
  [10, 20, 30],
  [200, 0, 0],
  [0, 200, 0],
] as const;
const table = (count: number, extra: object = {}): string =>
  JSON.stringify({ classes: colors.slice(0, count).map((rgb, id) => ({ id, name: `c${id}`, rgb })), ...extra });

/** Three photos in `images`, their masks in `masks` as `encode` writes them. */
async function write(folder: string, classes: number, encode: (ids: Uint8Array) => Promise<Uint8Array>): Promise<void> {
  await mkdir(join(folder, 'masks'));
  for (let i = 0; i < 3; i++) {
    await writePhoto(join(folder, 'images'), `${i}.png`, plainImage(width, height, 90));
    await writeFile(join(folder, 'masks', `${i}.png`), await encode(idsOf(i, classes)));
  }
}

/** Reads the folder, looks at every pair as a run does, and compares every pixel. */
async function expectIds(folder: string, classes: number): Promise<SegmentData> {
  const data = await readSegmentFolder(folder);
  const items = [...data.train, ...data.valid];
  expect(items.length).to.equal(3);
  const { problems, pixels, voidPixels } = await checkPairs(items, data);
  expect(problems).to.deep.equal([]);
  expect([pixels.length, voidPixels]).to.deep.equal([classes, 0]);
  for (const { name, mask } of items) {
    const { data: ids } = await readMask(mask, data.maskForm);
    expect([...ids], name).to.deep.equal([...idsOf(Number.parseInt(name, 10), classes)]);
  }
  return data;
}

const colored = (ids: Uint8Array): Promise<Uint8Array> =>
  encodePng({ width, height, channels: 3, data: Uint8Array.from([...ids].flatMap((id) => colors[id]!)) });
const blackAndWhite = (ids: Uint8Array): Promise<Uint8Array> => encodePng(grey(ids.map((id) => 255 * id)));

describe('the masks of a folder', () => {
  it('of class ids, grey or with a palette, are read as they are', async () => {
    for (const encode of [
      (ids: Uint8Array) => encodePng(grey(ids)),
      async (ids: Uint8Array) => encodePaletteIds(grey(ids), colors),
    ])
      await withFolder(async (folder) => {
        await write(folder, 3, encode);
        await writeFile(join(folder, 'classes.json'), table(3));
        const { classes } = await expectIds(folder, 3);
        expect(classes[2]).to.deep.equal({ name: 'c2', color: [0, 200, 0] });
      });
  });

  it('of colours are known by the table; void has one of its own; an unknown colour is named', () =>
    withFolder(async (folder) => {
      await write(folder, 3, colored);
      await writeFile(join(folder, 'classes.json'), table(3));
      expect((await expectIds(folder, 3)).maskForm.kind).to.equal('colors');

      // The third class is void.
      const classes = colors.map((rgb, i) => ({ id: i === 2 ? 99 : i, name: `c${i}`, rgb }));
      await writeFile(join(folder, 'classes.json'), JSON.stringify({ void: 99, classes }));
      const data = await readSegmentFolder(folder);
      const { pixels, voidPixels, problems } = await checkPairs([...data.train, ...data.valid], data);
      expect(problems).to.deep.equal([]);
      const count = (id: number): number =>
        [0, 1, 2].flatMap((i) => [...idsOf(i, 3)]).filter((one) => one === id).length;
      expect([...pixels, voidPixels]).to.deep.equal([count(0), count(1), count(2)]);

      await writeFile(join(folder, 'classes.json'), table(2, { masks: 'colors' }));
      const two = await readSegmentFolder(folder);
      const health = await checkPairs([...two.train, ...two.valid], two);
      expect(health.problems[0]?.reason).to.match(/expected the colours of 2 classes .*, got \[0,200,0\] at/);
    }));

  it('with palettes in an order of their own are known by the colours; files that fit neither way are named', () =>
    withFolder(async (folder) => {
      // As programs that make PNGs small write them: the last colour first, another order in each file.
      const shuffled = async (ids: Uint8Array): Promise<Uint8Array> => {
        const order = [...new Set(ids)].reverse();
        if (ids[2 * width] === 2) order.push(order.shift()!);
        return encodePaletteIds(
          grey(ids.map((id) => order.indexOf(id))),
          order.map((id) => colors[id]!),
        );
      };
      await write(folder, 3, shuffled);
      await writeFile(join(folder, 'classes.json'), table(3));
      expect((await expectIds(folder, 3)).maskForm.kind).to.equal('colors');
      // The first is in the order of the ids: it alone decides nothing.
      await writeFile(join(folder, 'masks', '0.png'), encodePaletteIds(grey(idsOf(0, 3)), colors));
      expect((await expectIds(folder, 3)).maskForm.kind).to.equal('colors');

      const other = [...colors.slice(0, 2), [1, 2, 3]];
      await writeFile(join(folder, 'masks', '1.png'), encodePaletteIds(grey(idsOf(1, 3)), other));
      expect(await failureOf(readSegmentFolder(folder))).to.match(
        /palettes that fit the rgb of classes.json, got .*1\.png, whose places .*1\.png, which has colours that no class has/,
      );
      await writeFile(join(folder, 'classes.json'), table(3, { masks: 'ids' }));
      expect((await readSegmentFolder(folder)).maskForm.kind).to.equal('ids');
    }));

  it('with a palette of white and black, in that order, are not read the wrong way round', () =>
    withFolder(async (folder) => {
      const white = [255, 255, 255];
      await write(folder, 2, async (ids) => encodePaletteIds(grey(ids.map((id) => 1 - id)), [white, [0, 0, 0]]));
      const classes = [[0, 0, 0], white].map((rgb, id) => ({ id, name: `c${id}`, rgb }));
      await writeFile(join(folder, 'classes.json'), JSON.stringify({ classes }));
      expect((await expectIds(folder, 2)).maskForm.kind).to.equal('colors');
      await writeFile(join(folder, 'classes.json'), table(2));
      expect((await expectIds(folder, 2)).maskForm.kind).to.equal('threshold');
    }));

  it('in black and white need no table, as PNG or JPEG; names may be given', async () => {
    const jpeg = (ids: Uint8Array): Promise<Uint8Array> =>
      sharp(Buffer.from(ids.map((id) => 255 * id)), { raw: { width, height, channels: 1 } })
        .resize(10 * width, 10 * height, { kernel: 'nearest' })
        .jpeg({ quality: 90 })
        .toBuffer();
    await withFolder(async (folder) => {
      await write(folder, 2, blackAndWhite);
      const { classes } = await expectIds(folder, 2);
      expect(classes.map(({ name }) => name)).to.deep.equal(['background', 'object']);
      await writeFile(join(folder, 'classes.json'), table(2));
      expect((await expectIds(folder, 2)).classes[1]!.name).to.equal('c1');
    });
    await withFolder(async (folder) => {
      await write(folder, 2, jpeg);
      const data = await readSegmentFolder(folder);
      expect(data.maskForm).to.deep.equal({ kind: 'threshold', from: 128 });
    });
  });

  it('in white on nothing are black and white', () =>
    withFolder(async (folder) => {
      const onNothing = (ids: Uint8Array): Promise<Uint8Array> =>
        encodePng({
          width,
          height,
          channels: 4,
          data: Uint8Array.from([...ids].flatMap((id) => [255, 255, 255, 255 * id])),
        });
      await write(folder, 2, onNothing);
      expect((await expectIds(folder, 2)).maskForm).to.deep.equal({ kind: 'threshold', from: 128 });
    }));

  it('of the ids 0 and 1 are not taken for black and white, nor is void for white', () =>
    withFolder(async (folder) => {
      await write(folder, 2, (ids) => encodePng(grey(ids)));
      await writeFile(join(folder, 'classes.json'), table(2));
      await expectIds(folder, 2);
      await rm(join(folder, 'masks'), { recursive: true });
      await write(folder, 2, (ids) => encodePng(grey(ids.map((id, i) => (i === 0 ? 255 : id)))));
      const data = await readSegmentFolder(folder);
      expect(data.maskForm.kind).to.equal('ids');
      expect((await checkPairs([...data.train, ...data.valid], data)).voidPixels).to.equal(3);
    }));

  it("are painted from COCO's polygons and run lengths", () =>
    withFolder(async (folder) => {
      const images = [0, 1, 2].map((id) => ({ id, file_name: `${id}.png`, width, height }));
      const annotations = images.flatMap(({ id }) => [
        { image_id: id, category_id: 7, segmentation: [[0, 2, width, 2, width, height, 0, height]] },
        { image_id: id, category_id: 9, segmentation: encodeRle(idsOf(id, 3), { width, height }, 2) },
      ]);
      const categories = [
        { id: 7, name: 'road' },
        { id: 9, name: 'car' },
      ];
      for (const { file_name } of images) await writePhoto(folder, file_name, plainImage(width, height, 90));
      await writeFile(join(folder, 'annotations.json'), JSON.stringify({ images, categories, annotations }));
      const { classes } = await expectIds(folder, 3);
      expect(classes.map(({ name }) => name)).to.deep.equal(['background', 'road', 'car']);
      await mkdir(join(folder, 'images'));
      await expectIds(folder, 3);
      await rm(join(folder, '1.png'));
      expect(await failureOf(readSegmentFolder(folder))).to.match(/expected 1.png in images or beside the file/);
    }));

  it('that nobody has explained are refused', () =>
    withFolder(async (folder) => {
      await write(folder, 3, colored);
      expect(await failureOf(readSegmentFolder(folder))).to.match(/expected masks in black and white .*classes.json/);
      await writeFile(join(folder, 'classes.json'), table(3, { masks: 'threshold' }));
      expect(await failureOf(readSegmentFolder(folder))).to.match(/expected two classes for masks in black and white/);
      const same = [0, 1].map((id) => ({ id, name: `c${id}`, rgb: [1, 1, 1] }));
      await writeFile(join(folder, 'classes.json'), JSON.stringify({ classes: same, masks: 'colors' }));
      expect(await failureOf(readSegmentFolder(folder))).to.match(
        /a colour of its own for each class, got 1,1,1 twice/,
      );
    }));
});
