import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import type { ClassifyBody } from '../../tasks/classify/contract.ts';
import type { SegmentBody } from '../../tasks/segment/contract.ts';
import { readPaletteIds } from '../../training/pictures/masks/palette-png.node.ts';
import { type Finished, fettle, fettleJson } from '../helpers/command.ts';
import { type Bench, createBench, send } from './harness.ts';

describe('command line: segment and classify', function () {
  this.timeout(120_000);
  let bench: Bench;
  before(async () => {
    bench = await createBench();
    // The store's model of that name serves, whatever the package ships.
    for (const task of ['segment', 'classify'] as const) await bench.publishFor(task);
    await mkdir(join(bench.dir, 'in', 'sub'), { recursive: true });
    await writeFile(join(bench.dir, 'in', 'a.png'), await plain('#c01010').png().toBuffer());
    await writeFile(join(bench.dir, 'in', 'sub', 'b.jpg'), await plain('#1010c0').jpeg().toBuffer());
  });
  after(() => bench.end());

  const plain = (background: string) => sharp({ create: { width: 30, height: 20, channels: 3, background } });
  const common = (): readonly string[] => ['--store', join(bench.dir, 'store'), '--device', 'cpu', '--workers', '1'];
  const json = (...args: readonly string[]): Promise<Record<string, unknown>> =>
    fettleJson(bench.dir, ...args, ...common());
  const plainly = (...args: readonly string[]): Promise<Finished> => fettle({ cwd: bench.dir }, ...args, ...common());

  it('segments a folder into one with a mask for each photo, skips what is there, and other outputs are not it', async () => {
    const first = await json('segment', 'in', '-o', 'masks');
    expect(first).to.include({ segmented: 2, skipped: 0 });
    const mask = readPaletteIds(await readFile(join(bench.dir, 'masks', 'sub', 'b.jpg.mask.png')));
    expect([mask?.width, mask?.height, new Set(mask?.data)]).to.deep.equal([30, 20, new Set([2])]);
    expect(await json('segment', 'in', '-o', 'masks')).to.include({ segmented: 0, skipped: 2 });
    expect(await json('segment', 'in', '-o', 'masks', '--output', 'json')).to.include({ segmented: 2, skipped: 0 });
    const body = JSON.parse(await readFile(join(bench.dir, 'masks', 'a.png.json'), 'utf8')) as SegmentBody;
    expect(body.classes.map(({ share }) => share)).to.deep.equal([1, 0, 0]);
    expect((await readdir(join(bench.dir, 'masks'))).sort()).to.deep.equal(['a.png.json', 'a.png.mask.png', 'sub']);
  });

  it('makes the file that the server answers, beside the photo where no other place is named', async () => {
    const server = await bench.start();
    expect(await json('segment', 'in/a.png', '--output', 'overlay', '--opacity', '0.25')).to.include({ segmented: 1 });
    const bytes = await readFile(join(bench.dir, 'in', 'a.png'));
    const response = await send('segment', server.url, bytes, '?output=overlay&opacity=0.25');
    const made = await readFile(join(bench.dir, 'in', 'a.png.overlay.png'));
    expect(made.equals(Buffer.from(await response.arrayBuffer()))).to.equal(true);
  });

  it('classifies: a line for each photo, with --json one that a machine reads', async () => {
    const { code, stdout } = await plainly('classify', 'in/sub', '--top', '2');
    expect([code, stdout.trim()]).to.deep.equal([0, `${join('in', 'sub', 'b.jpg')}: blue 99.8 %, red 0.1 %`]);
    await writeFile(join(bench.dir, 'in', 'sub', 'c.png'), 'no picture');
    const both = await plainly('--json', 'classify', 'in/sub');
    expect([both.code, /c\.png: image: expected JPEG/.test(both.stderr)]).to.deep.equal([1, true]);
    const { input, labels } = JSON.parse(both.stdout) as { input: string } & ClassifyBody;
    expect([input, labels[0]?.label, labels.length]).to.deep.equal([join('in', 'sub', 'b.jpg'), 'blue', 3]);
  });

  it('makes a single photo anew with other options, and says that a folder holds what was made before', async () => {
    await writeFile(join(bench.dir, 'one.png'), await plain('#10c010').png().toBuffer());
    const overlay = async (opacity: string): Promise<Buffer> => {
      expect(await json('segment', 'one.png', '--output', 'overlay', '--opacity', opacity)).to.include({
        segmented: 1,
      });
      return readFile(join(bench.dir, 'one.png.overlay.png'));
    };
    expect((await overlay('0.2')).equals(await overlay('0.9'))).to.equal(false);
    await plainly('segment', 'in', '-o', 'twice');
    const { stdout } = await plainly('segment', 'in', '-o', 'twice');
    expect(stdout).to.match(/^0 segmented, \d could not be, 2 made before, .*; --force makes them anew;/);
  });

  it('takes links to photos, skips masks and overlays beside their photos, and fails where there is no photo', async () => {
    const folder = join(bench.dir, 'linked');
    await mkdir(folder);
    await writeFile(join(bench.dir, 'far.png'), await plain('#10c010').png().toBuffer());
    await symlink(join(bench.dir, 'far.png'), join(folder, 'near.png'));
    await symlink('nowhere.png', join(folder, 'lost.png'));
    for (const output of ['mask', 'overlay']) await json('segment', 'linked/near.png', '--output', output);
    const { code, stdout, stderr } = await plainly('segment', 'linked');
    expect([code, stdout.startsWith('1 segmented, 1 could not be')], stderr).to.deep.equal([1, true]);
    expect(stderr).to.match(/results of earlier runs skipped: 2\n[\s\S]*lost\.png: ENOENT/);
    expect(await readdir(join(bench.dir, 'linked-segmented'))).to.deep.equal(['near.png.mask.png']);
    await writeFile(join(folder, 'alone.mask.png'), await plain('#10c010').png().toBuffer());
    expect((await plainly('classify', 'linked')).stdout.match(/[^/]+(?=: green)/g)).to.deep.equal([
      'alone.mask.png',
      'near.png',
    ]);
    await mkdir(join(bench.dir, 'empty'));
    for (const task of ['segment', 'classify', 'restore']) {
      const empty = await plainly(task, 'empty');
      expect([empty.code, empty.stderr.trim()]).to.deep.equal([
        1,
        `fettle: ${task}: expected pictures in the folder empty, found none`,
      ]);
    }
  });

  it('never replaces the photo that it reads, whatever the name, not even with --force', async () => {
    const photo = join(bench.dir, 'keep.png');
    const bytes = await plain('#10c010').png().toBuffer();
    await writeFile(photo, bytes);
    await mkdir(join(bench.dir, 'links'));
    await symlink(photo, join(bench.dir, 'links', 'keep.png'));
    for (const args of [
      ['segment', 'keep.png', '-o', './keep.png', '--force'],
      ['segment', 'links/keep.png', '-o', 'keep.png', '--force'],
      ['restore', 'keep.png', '-o', 'keep.png', '--model', 'test', '--force'],
      ['restore', 'keep.png', '-o', '.', '--model', 'test', '--force'],
    ]) {
      const { code, stderr } = await plainly(...args);
      expect([code, (await readFile(photo)).equals(bytes)], args.join(' ')).to.deep.equal([1, true]);
      expect(stderr).to.match(/expected an output other than the photo .*keep\.png/);
    }
  });

  it('fails with one clear line', async () => {
    for (const [args, text] of [
      [['segment', 'in/a.png', '--opacity', '2'], /--opacity: expected a number 0\.\.1, got 2/],
      [['segment', 'in/a.png', '-o', 'x.jpg'], /--out: expected a name in \.png for mask, got x\.jpg/],
      [['segment', 'in/a.png', '--output', 'json', '-o', 'x.png'], /expected a name in \.json/],
      [['segment', 'nowhere'], /segment: expected a file or a folder, got nowhere/],
      [['segment', 'in', '-o', 'in/masks'], /outside of in/],
      [
        ['classify', 'in/a.png', '--model', 'segment'],
        /expected a model of the task classify, got segment@\d+ \(segment\)/,
      ],
      [
        ['classify', 'in/a.png', '--model', 'none'],
        /got no version of it.*fettle retrain classify --data PATH --name none makes one/,
      ],
      [['classify', 'in/a.png', '--top', '0'], /--top: expected a whole number 1\.\.100/],
    ] as const) {
      const { code, stdout, stderr } = await plainly(...args);
      expect([code, stdout, stderr.trim().split('\n').length], stderr).to.deep.equal([1, '', 1]);
      expect(stderr).to.match(text);
    }
  });
});
