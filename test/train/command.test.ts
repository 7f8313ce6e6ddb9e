import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { decodeModel } from '../../training/onnx/schema.ts';
import { fettle, fettleJson } from '../helpers/command.ts';
import { plainImage, writePhoto } from '../helpers/photos.ts';
import { writePhotos } from '../helpers/small-restore.ts';

const quick = ['--device', 'cpu', '--size', '32', '--batch', '2', '--samples', '8'] as const;

describe('fettle train', function () {
  this.timeout(120_000);
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'fettle-train-'));
    await writePhotos(join(dir, 'photos'), 6);
  });
  after(() => rm(dir, { recursive: true, force: true }));

  const train = ['train', 'restore', '--data', 'photos', ...quick] as const;

  it('Ctrl-C saves and states how to continue; --resume does; another option is refused', async () => {
    let asked = false;
    const stopped = await fettle(
      {
        cwd: dir,
        onStderr: (child, text) => {
          if (asked || !text.includes('to train on')) return;
          asked = true;
          child.kill('SIGINT');
        },
      },
      ...[...train, '--epochs', '3', '--out', 'a'],
    );
    expect(stopped.code, stopped.stderr).to.equal(130);
    expect(stopped.stderr).to.match(/stopping after this batch/);
    expect(stopped.stderr).to.match(/fettle: train restore: expected 3 epochs, got stopped.*--resume continues/);
    expect(await readdir(join(dir, 'a'))).to.include('checkpoint.safetensors');

    const again = await fettle({ cwd: dir }, ...train, '--epochs', '3', '--out', 'a');
    expect([again.code, again.stdout]).to.deep.equal([1, '']);
    expect(again.stderr).to.match(/expected a new folder, got a with a checkpoint; add --resume/);

    const other = await fettle({ cwd: dir }, ...train, '--epochs', '3', '--out', 'a', '--lr', '0.01', '--resume');
    expect(other.code).to.equal(1);
    expect(other.stderr).to.match(
      /got another one \(config\.lr was 0\.0015, is 0\.01;.*\); resume with the same options/,
    );

    const whole = await fettleJson(dir, ...train, '--epochs', '3', '--out', 'a', '--resume');
    expect(whole.rows).to.have.length(3);
    expect(decodeModel(await readFile(join(dir, 'a', 'model.onnx'))).graph.node.length).to.be.above(20);
    const names = await readdir(join(dir, 'a'));
    expect(names).to.include.members(['best.safetensors', 'checkpoint.safetensors', 'epoch-002.png', 'log.csv']);
    expect(names.filter((name) => name.endsWith('.tmp'))).to.deep.equal([]);
    const log = (await readFile(join(dir, 'a', 'log.csv'), 'utf8')).trim().split('\n');
    expect(log[0]).to.equal('epoch,train_loss,valid_loss,psnr,input_psnr,undamaged_psnr,seconds');
    expect(log.slice(1).map((line) => line.split(',')[0])).to.deep.equal(['0', '1', '2']);
  });

  it('does not take the pictures of its own folder for photos', async () => {
    await writePhotos(join(dir, 'own'), 4);
    const run = ['train', 'restore', '--data', 'own', ...quick, '--out', 'own/run', '--epochs', '1'] as const;
    await fettleJson(dir, ...run);
    expect(await readdir(join(dir, 'own', 'run'))).to.include('epoch-000.png');
    expect((await fettleJson(dir, ...run, '--resume')).rows).to.have.length(1);
  });

  it('continues without pictures that cannot be read or are too small, and names them', async () => {
    await writePhotos(join(dir, 'mixed'), 5);
    await writeFile(join(dir, 'mixed', 'broken.jpg'), 'no picture');
    await writePhoto(join(dir, 'mixed'), 'tiny.png', plainImage(20, 20, 90));
    const run = ['train', 'restore', '--data', 'mixed', ...quick, '--epochs', '1', '--out', 'm'] as const;
    const { failures } = await fettleJson(dir, ...run);
    const reasons = Object.fromEntries((failures as { name: string; reason: string }[]).map((f) => [f.name, f.reason]));
    expect(Object.keys(reasons).sort()).to.deep.equal(['broken.jpg', 'tiny.png']);
    expect(reasons['tiny.png']).to.match(/at least 32 px, got 20/);
  });

  it('fails at once, with one clear line, where nothing can be trained', async () => {
    await mkdir(join(dir, 'empty'));
    await writePhoto(join(dir, 'small'), 'a.png', plainImage(100, 90, 50));
    await writePhoto(join(dir, 'small'), 'b.png', plainImage(90, 100, 70));
    await writeFile(join(dir, 'file'), '');
    const on = (data: string, ...more: readonly string[]): readonly string[] => [
      ...['train', 'restore', '--device', 'cpu', '--data', data, '--out', 'x', ...more],
    ];
    for (const [args, text] of [
      [on('nowhere'), /expected a folder of pictures at nowhere/],
      [on('empty'), /at least two pictures in empty, got 0/],
      // The first size of crops would do, the second not: that must not come out after hours.
      [on('small'), /short side of at least 128 px, got 90 at most; choose a smaller --size/],
      [on('photos', '--size', '60'), /multiple of 8, got 60; try 56 or 64/],
      [on('photos', '--damaged', 'empty'), /a damaged picture for each original/],
      [on('photos', '--lr', '-1'), /--lr: expected a number above 0/],
      [[...on('photos', '--size', '32'), '--out', 'file'], /expected a folder at file/],
      [['train', 'classify', '--data', 'empty'], /classify: expected /],
      [['train', 'paint', '--data', 'photos'], /paint/],
      [
        ['train', 'segment', '--data', 'photos'],
        /expected classes.json with train.txt and val.txt, the folders images and masks, or annotations.json in photos, got none/,
      ],
      [['train', 'segment', '--data', 'photos', '--loss', 'l1'], /--loss: expected the task restore, got segment/],
      [['retrain', 'restore', '--data', 'photos', '--from', 'restore@99', '--store', 's'], /restore@99/],
      [['retrain', 'segment', '--data', 'photos'], /or annotations.json in photos, got none/],
    ] as const) {
      const { code, stdout, stderr } = await fettle({ cwd: dir }, ...args);
      const lines = stderr.split('\n').filter((line) => line.startsWith('fettle: '));
      expect([code, stdout, lines.length], stderr).to.deep.equal([1, '', 1]);
      expect(lines[0]).to.match(text);
    }
    expect(await readdir(dir)).not.to.include('x');
  });
});
