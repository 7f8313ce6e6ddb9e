import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { chooseDevice, type NodeDevice } from '../../training/run/ort.node.ts';
import { fettle } from '../helpers/command.ts';
import { wavyImage, withFolder, writePhoto } from '../helpers/photos.ts';

const commands = {
  serve: ['--port', '0', '--store', 'store'],
  train: ['restore', '--data', 'photos', '--out', 'run'],
  retrain: ['restore', '--data', 'photos', '--out', 'run', '--store', 'store'],
  restore: ['photos/a.png', '-o', 'restored.png', '--store', 'store'],
} as const;

const { device, skipped } = await chooseDevice('auto');
const absent = skipped.map((one) => one.device as NodeDevice);

describe('--device', function () {
  this.timeout(60_000);

  for (const [name, rest] of Object.entries(commands)) {
    for (const wanted of absent) {
      it(`fettle ${name} --device ${wanted}, which is not here, is an error that says why`, () =>
        withFolder(async (cwd) => {
          await mkdir(join(cwd, 'photos'));
          for (const photo of ['a', 'b']) await writePhoto(cwd, `photos/${photo}.png`, wavyImage(160, 130, 1));
          const { code, stderr } = await fettle({ cwd }, name, ...rest, '--device', wanted);
          expect(code, stderr).to.equal(1);
          const reason = skipped.find((one) => one.device === wanted)!.reason;
          expect(stderr).to.include(`expected ${wanted} to be usable`).and.to.include(reason);
        }));
    }
  }

  it('auto says which device it took, and why none before it', () =>
    withFolder(async (cwd) => {
      await writePhoto(cwd, 'a.png', wavyImage(40, 32, 1));
      const { code, stderr } = await fettle({ cwd }, 'restore', 'a.png', '-o', 'restored.png', '--store', 'store');
      expect(code, stderr).to.equal(0);
      expect(stderr).to.include(`device: ${device}\n`);
      for (const one of skipped) expect(stderr).to.include(`  not ${one.device}: ${one.reason}\n`);
    }));
});
