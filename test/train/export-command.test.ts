import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { packageRoot } from '../../server/store/paths.ts';
import { createRng } from '../../training/core/rng.ts';
import { artifactNames } from '../../training/export/ort-artifacts.ts';
import { decodeOrtCheckpoint } from '../../training/export/ort-checkpoint.ts';
import { decodeModel } from '../../training/onnx/schema.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { fettle, fettleJson } from '../helpers/command.ts';
import { distance } from '../helpers/ort-cases.ts';
import { withFolder } from '../helpers/photos.ts';

describe('fettle export', function () {
  this.timeout(120_000);

  it('writes the served model as it is, or with another batch and opset the same function', () =>
    withFolder(async (folder) => {
      await fettleJson(folder, 'export', 'restore@1', '-o', 'same.onnx');
      await fettleJson(folder, 'export', 'restore@1', '-o', 'two.onnx', '--batch', '2', '--opset', '18');
      const shipped = readFileSync(join(packageRoot, 'models/zoo/restore/1/model.onnx'));
      const [same, two] = ['same.onnx', 'two.onnx'].map((name) => readFileSync(join(folder, name)));
      expect(same!.equals(shipped)).to.equal(true);
      expect(decodeModel(two!).opsetImport).to.deep.equal([{ domain: '', version: 18 }]);
      const rng = createRng(1, 'export');
      const item = Float32Array.from({ length: 3 * 32 * 32 }, () => rng.next());
      const both = Float32Array.from([...item, ...item]);
      const [one, pair] = [await openSession(same!), await openSession(two!)];
      const { restored } = await one.run({ image: { dtype: 'float32', dims: [1, 3, 32, 32], data: item } });
      const { restored: twice } = await pair.run({ image: { dtype: 'float32', dims: [2, 3, 32, 32], data: both } });
      for (const half of [0, item.length]) {
        const data = (twice!.data as Float32Array).slice(half, half + item.length);
        expect(distance(data, restored!.data as Float32Array)).to.be.below(1e-5);
      }
      for (const session of [one, pair]) await session.release();
    }));

  it('writes the artifacts of a served model and of an architecture', () =>
    withFolder(async (folder) => {
      const { files } = await fettleJson(
        folder,
        'export',
        'restore',
        '--ort-training',
        'a',
        '--size',
        '32',
        '--lr',
        '1e-4',
      );
      expect(files).to.deep.equal(artifactNames.map((name) => join('a', name)));
      const { trained, properties } = decodeOrtCheckpoint(readFileSync(join(folder, 'a/checkpoint')));
      expect(properties).to.deep.equal(new Map([['source', 'restore@1']]));
      expect([...trained.keys()]).to.include('head.weight');
      const nets = ['mnist-resnet', 'human-numbers-5', 'restore-unet'];
      for (const arch of nets) {
        await fettleJson(folder, 'export', '--arch', arch, '--training', arch, '--batch', '2', '--optimizer', 'sgd');
        const step = await openSession(join(folder, arch, 'training_model.onnx'));
        expect(step.outputNames[0]).to.equal('loss');
        await step.release();
      }
    }));

  it('writes where absolute paths say, makes folders, and says what it replaces', () =>
    withFolder(async (folder) => {
      const [elsewhere, sets] = [join(folder, 'elsewhere'), join(folder, 'deep', 'sets')];
      mkdirSync(join(folder, 'here'));
      mkdirSync(elsewhere);
      const args = ['restore', '-o', join(elsewhere, 'm.onnx'), '--training', sets, '--size', '8', '--batch', '1'];
      const first = await fettleJson(join(folder, 'here'), 'export', ...args);
      const paths = [join(elsewhere, 'm.onnx'), ...artifactNames.map((name) => join(sets, name))];
      expect([first.files, first.replaced]).to.deep.equal([paths, []]);
      expect(paths.filter((path) => !existsSync(path))).to.deep.equal([]);
      expect(readdirSync(join(folder, 'here'))).to.deep.equal([]);
      const { code, stderr } = await fettle({ cwd: folder }, 'export', 'restore', '-o', 'elsewhere/m.onnx');
      expect([code, stderr]).to.deep.equal([0, 'replaces elsewhere/m.onnx\n']);
    }));

  it('writes nothing where a part of it cannot be', () =>
    withFolder(async (folder) => {
      mkdirSync(join(folder, 'sub'));
      const said = async (...args: string[]) => {
        const { code, stderr } = await fettle({ cwd: folder }, 'export', ...args);
        return `${code} ${stderr}`;
      };
      expect(await said('restore', '-o', 'sub')).to.match(/^1 .*expected a file, got the folder sub/);
      const missing = join(folder, 'none');
      for (const path of ['none/m.onnx', join(missing, 'm.onnx')])
        expect(await said('restore', '-o', path)).to.contain(`make the folder ${missing}`);
      const both = ['restore', '--training', 'a', '--ort-training'];
      for (const same of ['a', './a', 'a/', join(folder, 'a')])
        expect(await said(...both, same)).to.match(/^1 .*a folder each .*got a for both/);
      expect(await said('--arch', 'mnist-conv', '-o', 'x.onnx', '--training', 'a')).to.match(
        /^1 .*a trained model for -o/,
      );
      const twice = ['restore', '--size', '8', '--training', 'sub', '-o', 'sub/checkpoint'];
      expect(await said(...twice)).to.match(/^1 .*got sub\/checkpoint twice/);
      // Only the plain form has an SGD with decay; it is not left behind alone.
      const sgd = ['--arch', 'mnist-conv', '--optimizer', 'sgd', '--wd', '0.1', '--training', 'a'];
      expect(await said(...sgd, '--ort-training', 'b')).to.match(/^1 .*expected sgd without momentum and weight decay/);
      expect(readdirSync(folder)).to.deep.equal(['sub']);
      expect(readdirSync(join(folder, 'sub'))).to.deep.equal([]);
      await fettleJson(folder, 'export', 'restore', '-o', 'm.onnx');
      expect(await said('restore', '--training', 'm.onnx/sets')).to.match(
        /^1 .*expected a folder, got the file .*m\.onnx/,
      );
    }));

  it('says what it does not understand', () =>
    withFolder(async (folder) => {
      const said = async (...args: string[]) => {
        const { code, stderr } = await fettle({ cwd: folder }, 'export', ...args);
        return `${code} ${stderr}`;
      };
      expect(await said('restore')).to.match(/^1 .*-o FILE/);
      expect(await said('restore', '--arch', 'mnist-conv', '-o', 'x')).to.match(/^1 .*both or neither/);
      expect(await said('--arch', 'unknown', '--training', 'x')).to.match(/^1 .*restore-unet, .*got unknown/);
      expect(await said('--arch', 'mnist-conv', '--training', 'x', '--size', '9')).to.match(
        /^1 .*expected pixels, 28,/,
      );
      expect(await said('--arch', 'restore-unet', '--training', 'x', '--size', '97')).to.match(
        /^1 .*multiples of 8, 8/,
      );
      for (const size of ['97', '3'])
        expect(await said('restore', '--training', 'x', '--size', size)).to.match(
          new RegExp(`^1 .*--size: expected multiples of 8, 8 or more, for restore, got ${size}`),
        );
      expect(await said('restore', '--ort-training', 'x', '--opset', '17')).to.match(
        /^1 .*18\.\.21 for training, got 17/,
      );
      expect(await said('restore', '-o', 'x', '--opset', '22')).to.match(/^1 .*12\.\.21, got 22/);
      expect(await said('restore', '--training', 'x', '--lr', '-1')).to.match(/^1 .*--lr/);
    }));
});
