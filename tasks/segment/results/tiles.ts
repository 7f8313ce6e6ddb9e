import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { dataFolder } from '../../../scripts/results/data.ts';
import { storeDirOf, zooDir } from '../../../server/store/paths.ts';
import { openStore } from '../../../server/store/store.ts';
import type { Image } from '../../../training/core/image.ts';
import { decodeRgb } from '../../../training/pictures/decode.node.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import { specOf } from '../../config.ts';
import { segmentContract } from '../contract.ts';
import { maskTiles, probabilitiesOf, segmentPicture } from '../infer.ts';

/*
 * How many pixels of a mask have the same class in tiles and in one run of the net: 24 frames of CamVid test side by side, and one frame
 * enlarged for the net to a short side of 900 pixels, by the size of the overlaps.
 *   node dist/tasks/segment/results/tiles.js
 */

/** Frames of one size as one long picture. */
function sideBySide(frames: readonly Image[]): Image {
  const { width, height } = frames[0]!;
  const whole = { width: width * frames.length, height, channels: 3 } as const;
  const data = new Uint8Array(3 * whole.width * height);
  for (const [i, frame] of frames.entries()) {
    for (let y = 0; y < height; y++)
      data.set(frame.data.subarray(3 * y * width, 3 * (y + 1) * width), 3 * (y * whole.width + i * width));
  }
  return { ...whole, data };
}

const store = openStore({ zooDir, storeDir: storeDirOf() });
const version = await store.resolve('segment');
const spec = specOf(segmentContract, version.config);
const session = await openSession(await store.read(version, 'model.onnx'), { threads: 1 });
const folder = join(dataFolder(), 'camvid', 'test');
const names = (await readdir(folder)).sort().filter((_, i) => i % 9 === 0);
const frames = await Promise.all(names.slice(0, 24).map((name) => decodeRgb(join(folder, name))));

for (const [name, picture, shortSide] of [
  ['24 frames', sideBySide(frames), spec.shortSide],
  ['one frame, enlarged', frames[2]!, 900],
] as const) {
  let runs = 0;
  const mask = (tilePixels: number, overlap: number): Promise<Image> => {
    runs = 0;
    const tiles = { ...maskTiles, tilePixels, overlap };
    const onProgress = (): void => void runs++;
    return segmentPicture(picture, { ...spec, shortSide }, probabilitiesOf(session, spec), { tiles, onProgress });
  };
  const whole = await mask(2 ** 30, maskTiles.overlap);
  for (const overlap of [64, 128, 192, 256]) {
    const tiled = await mask(maskTiles.tilePixels, overlap);
    const equal = tiled.data.filter((id, i) => id === whole.data[i]).length / whole.data.length;
    process.stdout.write(`${name}: ${runs} tiles, overlap ${overlap}: ${(100 * equal).toFixed(2)} % of the pixels\n`);
  }
}
await session.release();
