import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import { readSegmentFolder } from '../../tasks/segment/folder.node.ts';
import { classIds, segmentInput } from '../../tasks/segment/infer.ts';
import { exportSegment } from '../../tasks/segment/net.ts';
import { runSegment, type SegmentRunConfig, segmentRunDefaults } from '../../tasks/segment/recipe.node.ts';
import type { Image } from '../../training/core/image.ts';
import { createRng } from '../../training/core/rng.ts';
import type { Tensor } from '../../training/core/tensor.ts';
import { encodePng } from '../../training/pictures/image-io.node.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { failureOf } from '../helpers/blocks.ts';
import { fettle, fettleJson } from '../helpers/command.ts';

const [width, height] = [32, 24];

/** A dark ground, one bright disc: classes 0 and 1; the left column is void. Brightness and noise differ from picture to picture. */
function scene(seed: number): { readonly photo: Image; readonly mask: Image } {
  const rng = createRng(seed, 'scene');
  const [x0, y0, radius] = [8 + 16 * rng.next(), 6 + 12 * rng.next(), 4 + 4 * rng.next()];
  const photo = new Uint8Array(3 * width * height);
  const mask = new Uint8Array(width * height);
  for (let i = 0; i < mask.length; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    const inside = Math.hypot(x - x0, y - y0) < radius;
    mask[i] = x === 0 ? 7 : Number(inside);
    photo.fill((inside ? 150 : 60) + 40 * rng.next(), 3 * i, 3 * i + 3);
  }
  return {
    photo: { width, height, channels: 3, data: photo },
    mask: { width, height, channels: 1, data: mask },
  };
}

async function writeScenes(folder: string): Promise<void> {
  const lines: Record<string, string[]> = { 'train.txt': [], 'val.txt': [] };
  for (let i = 0; i < 10; i++) {
    const { photo, mask } = scene(i);
    await writeFile(join(folder, `p${i}.png`), await encodePng(photo));
    await writeFile(join(folder, `m${i}.png`), await encodePng(mask));
    lines[i < 8 ? 'train.txt' : 'val.txt']!.push(`p${i}.png m${i}.png`);
  }
  for (const [name, list] of Object.entries(lines)) await writeFile(join(folder, name), list.join('\n'));
  const classes = [
    { id: 0, name: 'ground', rgb: [60, 60, 60] },
    { id: 1, name: 'disc', rgb: [200, 200, 200] },
  ];
  await writeFile(join(folder, 'classes.json'), JSON.stringify({ void: 7, classes }));
}

const config: SegmentRunConfig = {
  ...segmentRunDefaults,
  model: {
    ...segmentRunDefaults.model,
    encoder: { widths: [6, 8, 10], depths: [1, 1, 1] },
  },
  stages: [
    { epochs: 2, size: { width: 16, height: 12 } },
    { epochs: 2, size: { width: 32, height: 24 } },
  ],
  batchSize: 4,
  passes: 6,
  validSize: { width: 32, height: 24 },
  lr: 1e-2,
  emaDecay: 0.9,
};

describe('train segment', function () {
  this.timeout(120_000);
  let dir: string;
  const at = (name: string): string => join(dir, name);
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'fettle-segment-'));
    await writeScenes(dir);
  });
  after(() => rm(dir, { recursive: true, force: true }));

  const open = (model: Uint8Array) => openSession(model, { threads: 1 });
  const options = async (out: string) => ({
    config,
    data: await readSegmentFolder(dir),
    out: at(out),
    open,
    resume: false,
  });

  it('learns discs; void pixels do not count; the exported net does what was measured', async () => {
    const notes: string[] = [];
    const result = await runSegment({ ...(await options('whole')), onNote: (text) => notes.push(text) });
    expect(result.best.metrics.acc_camvid).to.be.above(0.93);
    expect(notes.join('\n')).to.match(/class shares: ground \d+\.\d+ %, disc \d+\.\d+ %; void 3\.13 %/);
    const data = await readSegmentFolder(dir);
    const { model, spec } = exportSegment(result.model, result.weights, { classes: data.classes, shortSide: height });
    expect([spec.inputName, spec.outputName, spec.classes[1]!.name]).to.deep.equal(['image', 'probabilities', 'disc']);
    const session = await open(model);
    let [right, counted] = [0, 0];
    for (const i of [8, 9]) {
      const { photo, mask } = scene(i);
      const { probabilities } = await session.run({ image: segmentInput(photo, photo) });
      const ids = classIds(probabilities as Tensor<'float32'>, photo);
      mask.data.forEach((label, k) => {
        if (label === 7) return;
        counted += 1;
        if (label === ids.data[k]) right += 1;
      });
    }
    await session.release();
    expect(counted).to.equal(2 * 31 * 24);
    expect(right / counted).to.be.closeTo(result.best.metrics.acc_camvid!, 1e-9);
    const { width: wide } = await sharp(await readFile(at('whole/epoch-003.png'))).metadata();
    expect(wide).to.be.above(100);
  });

  it('a run that was stopped and resumed ends in the same bits', async () => {
    for (const batches of [5, 26]) {
      const out = `stopped-${batches}`;
      const controller = new AbortController();
      let seen = 0;
      const stopper = {
        name: 'stopper',
        numbers: [],
        afterBatch: () => {
          seen += 1;
          if (seen === batches) controller.abort();
        },
      };
      const first = runSegment({ ...(await options(out)), callbacks: [stopper], signal: controller.signal });
      expect(await failureOf(first)).to.match(/expected 4 epochs, got stopped .*--resume continues/);
      expect(await failureOf(runSegment(await options(out)))).to.match(/expected a new folder/);
      await runSegment({ ...(await options(out)), resume: true });
      const [whole, resumed] = await Promise.all(
        ['whole', out].map((name) => readFile(at(`${name}/best.safetensors`))),
      );
      expect(resumed!.equals(whole!), `after ${batches} batches`).to.equal(true);
    }
  });

  it('is resumed with the same config and pictures only', async () => {
    const other = { ...(await options('whole')), config: { ...config, labelSmoothing: 0.2 }, resume: true };
    expect(await failureOf(runSegment(other))).to.match(/labelSmoothing/);
  });

  it('starts from weights', async () => {
    const { weights } = await runSegment({ ...(await options('whole')), resume: true });
    const short = { ...config, stages: [{ epochs: 1, size: config.validSize }], lr: 1e-6 };
    const { best } = await runSegment({ ...(await options('more')), config: short, start: weights });
    expect(best.metrics.acc_camvid).to.be.above(0.93);
  });

  it('does not begin with a pair that cannot be used', async () => {
    const data = await readSegmentFolder(dir);
    await writeFile(
      at('m-bad.png'),
      await encodePng({ ...scene(1).mask, data: new Uint8Array(width * height).fill(3) }),
    );
    const bad = { name: 'bad.png', path: at('p1.png'), mask: at('m-bad.png') };
    const run = runSegment({ ...(await options('bad')), data: { ...data, train: [...data.train, bad] } });
    expect(await failureOf(run)).to.match(/^segment: expected usable pairs, got 1 that .* \(bad.png: unknown ids 3\)/);
    expect(await readdir(dir)).not.to.include('bad');
  });

  it('from the command line', async () => {
    const args = [
      'train',
      'segment',
      '--data',
      '.',
      '--device',
      'cpu',
      '--size',
      '32',
      '--batch',
      '4',
      '--epochs',
      '1',
    ];
    const { code, stdout, stderr } = await fettle({ cwd: dir }, ...args, '--threads', '1', '--out', 'cli');
    expect(code, stderr).to.equal(0);
    expect(stdout).to.match(/^best: epoch 0, accuracy \d+\.\d\d %, mean IoU 0\.\d+; cli\/model\.onnx$/m);
    expect(await readdir(at('cli'))).to.include.members(['best.safetensors', 'log.csv', 'epoch-000.png', 'model.onnx']);
    const again = await fettleJson(dir, ...args, '--out', 'cli-2', '--from', 'cli/model.onnx');
    expect(again.rows).to.have.length(1);
  });
});
