import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import sharp from 'sharp';
import { tinyRestoreModel } from '../helpers/tiny-model.ts';
import { type Bench, createBench, register } from './harness.ts';

const cli = fileURLToPath(new URL('../../scripts/fettle.js', import.meta.url));

interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command line in a folder. */
function fettle(cwd: string, ...args: readonly string[]): Promise<Finished> {
  return new Promise((resolve) => {
    execFile(process.execPath, [cli, ...args], { cwd }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

async function json(cwd: string, ...args: readonly string[]): Promise<Record<string, unknown>> {
  const { stdout, stderr } = await fettle(cwd, '--json', ...args);
  expect(stdout.trim().split('\n'), stderr).to.have.length(1);
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe('command line: restore and models', function () {
  this.timeout(60_000);
  let bench: Bench;
  beforeEach(async () => {
    bench = await createBench();
    // The store is named test, so that nothing depends on the versions that the package ships.
    await bench.publish();
  });
  afterEach(() => bench.end());

  const store = (): readonly string[] => ['--store', join(bench.dir, 'store')];
  const shade = (grey: number): Promise<Buffer> =>
    sharp({ create: { width: 24, height: 16, channels: 3, background: { r: grey, g: grey, b: grey } } })
      .png()
      .toBuffer();

  it('restores a folder with its subfolders, skips what is finished, and does what changed', async () => {
    const dir = bench.dir;
    await mkdir(join(dir, 'in', 'sub'), { recursive: true });
    await writeFile(join(dir, 'in', 'a.png'), await shade(50));
    await writeFile(
      join(dir, 'in', 'sub', 'b.jpg'),
      await sharp(await shade(90))
        .jpeg()
        .toBuffer(),
    );
    await writeFile(
      join(dir, 'in', 'c.tiff'),
      await sharp(await shade(120))
        .tiff()
        .toBuffer(),
    );
    await writeFile(join(dir, 'in', 'notes.txt'), 'not a picture');
    const run = (...more: readonly string[]): Promise<Record<string, unknown>> =>
      json(dir, 'restore', 'in', '-o', 'out', '--device', 'cpu', '--scale', '2', ...store(), ...more);

    const { restored, skipped, failed } = await run();
    expect({ restored, skipped, failed }).to.deep.equal({ restored: 3, skipped: 0, failed: [] });
    const names = (await readdir(join(dir, 'out'), { recursive: true })).sort();
    expect(names).to.deep.equal(['a.png', 'c.tiff.png', 'sub', join('sub', 'b.jpg')]);
    for (const name of ['a.png', 'c.tiff.png', join('sub', 'b.jpg')]) {
      const metadata = await sharp(await readFile(join(dir, 'out', name))).metadata();
      expect([metadata.width, metadata.height, metadata.format]).to.deep.equal([
        48,
        32,
        name.endsWith('jpg') ? 'jpeg' : 'png',
      ]);
    }

    const before = await stat(join(dir, 'out', 'a.png'));
    await rm(join(dir, 'out', 'c.tiff.png'));
    const future = new Date(Date.now() + 60_000);
    await utimes(join(dir, 'in', 'sub', 'b.jpg'), future, future);
    expect((await run()).restored).to.equal(2);
    expect((await stat(join(dir, 'out', 'a.png'))).mtimeMs).to.equal(before.mtimeMs);
    expect((await run('--force')).restored).to.equal(3);
  });

  it('continues after a picture that cannot be restored, names it, and exits with 1', async () => {
    await mkdir(join(bench.dir, 'in'));
    await writeFile(join(bench.dir, 'in', 'bad.jpg'), 'no picture');
    await writeFile(join(bench.dir, 'in', 'good.png'), await shade(7));
    const { code, stdout, stderr } = await fettle(bench.dir, 'restore', 'in', '--device', 'cpu', ...store());
    expect([code, /1 restored, 1 could not be/.test(stdout)]).to.deep.equal([1, true]);
    expect(stderr)
      .to.match(/device: cpu/)
      .and.match(/bad\.jpg: image: expected JPEG/);
    expect(await readdir(join(bench.dir, 'in-restored'))).to.deep.equal(['good.png']);
  });

  it('gives the same bytes as the server', async () => {
    const server = await bench.start();
    await writeFile(join(bench.dir, 'a.png'), await shade(33));
    await fettle(bench.dir, 'restore', 'a.png', '--device', 'cpu', '--scale', '2', ...store());
    const form = new FormData();
    form.set('image', new Blob([(await shade(33)) as Uint8Array<ArrayBuffer>]));
    const response = await fetch(`${server.url}/v1/restore?scale=2`, { method: 'POST', body: form });
    const served = Buffer.from(await response.arrayBuffer());
    expect((await readFile(join(bench.dir, 'a.restored.png'))).equals(served)).to.equal(true);
  });

  it('lists, shows, uses, rolls back and removes versions', async () => {
    await register(bench.store, tinyRestoreModel(2));
    const numbers = async (): Promise<unknown> => {
      const { models } = (await json(bench.dir, 'models', 'list', ...store())) as {
        models: { active: number; versions: { version: number; origin: string }[] }[];
      };
      const [model] = models;
      return [model?.active, model?.versions.filter((one) => one.origin === 'store').map((one) => one.version)];
    };
    const first = (await bench.store.resolve('restore')).config.version;
    const second = first + 1;
    expect(await numbers()).to.deep.equal([first, [first, second]]);
    expect((await json(bench.dir, 'models', 'use', `restore@${second}`, ...store())).active).to.equal(second);
    expect(await numbers()).to.deep.equal([second, [first, second]]);
    expect((await json(bench.dir, 'models', 'show', 'restore', ...store())).card).to.equal('# For a test');
    expect((await fettle(bench.dir, 'models', 'remove', `restore@${second}`, ...store())).code).to.equal(1);
    expect((await json(bench.dir, 'models', 'rollback', 'restore', ...store())).active).to.equal(first);
    expect((await fettle(bench.dir, 'models', 'remove', `restore@${second}`, ...store())).code).to.equal(0);
    expect(await numbers()).to.deep.equal([first, [first]]);
  });

  it('fails with one clear line, or one JSON line with --json', async () => {
    for (const [args, text] of [
      [['restore', 'nowhere.png', ...store()], /nowhere\.png/],
      [['models', 'show', 'restore@99', ...store()], /restore@99/],
      [['models', 'use', 'restore', ...store()], /NAME@VERSION/],
      [['restore', '.', '--device', 'tpu', ...store()], /--device.*tpu/],
      [['serve', '--port', '99999', ...store()], /--port.*99999/],
    ] as const) {
      const plain = await fettle(bench.dir, ...args);
      expect([plain.code, plain.stdout, plain.stderr.trim().split('\n').length], plain.stderr).to.deep.equal([
        1,
        '',
        1,
      ]);
      expect(plain.stderr).to.match(text);
      const machine = await fettle(bench.dir, '--json', ...args);
      const { error } = JSON.parse(machine.stderr) as { error: { code: string; message: string } };
      expect([machine.code, /^[a-z-]+$/.test(error.code), text.test(error.message)]).to.deep.equal([1, true, true]);
    }
  });
});
