import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import sharp from 'sharp';
import { openStores } from '../../../scripts/cli/stores.ts';
import { trained } from '../../../tasks/trained.node.ts';
import { artifactNames } from '../../../training/export/ort-artifacts.ts';
import { withFolder } from '../../helpers/photos.ts';
import { fettleWith, helpWith } from '../../helpers/program.ts';
import { brightnessTask } from '../../helpers/toy-task/cli.node.ts';

const tasks = [...trained, brightnessTask];

async function json(...args: readonly string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await fettleWith(tasks, '--json', ...args);
  expect(code, stderr).to.equal(0);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** One folder and one row more: nothing of the command line knows it by name. */
describe('a task that is added', () => {
  it('has its commands with --help, and its options are no other task’s', async () => {
    for (const verb of ['train', 'retrain', 'lr-find']) {
      expect(helpWith(tasks, verb)!.replaceAll(/\s+/g, ' ')).to.include(
        'brightness [options] a model that states how bright',
      );
      expect(helpWith(tasks, verb, 'brightness'))
        .to.include('--held-out <n>')
        .and.not.include('--loss');
      expect(helpWith(tasks, verb, 'restore')).not.to.include('--held-out');
    }
    expect(helpWith(tasks, 'brightness')).to.include('Usage: fettle brightness');
    const { stderr } = await fettleWith(tasks, 'train', 'restore', '--data', 'x', '--held-out', '3');
    expect(stderr).to.match(/--held-out: expected the task brightness, got restore/);
  });

  it('is trained, suggested a rate, registered under a name of its own, listed and exported', () =>
    withFolder(async (folder) => {
      const at = (name: string): string => join(folder, name);
      const table = Array.from({ length: 40 }, (_, i) => {
        const [r, g, b] = [1, 2, 3].map((k) => Math.abs(Math.sin(k * (i + 1))));
        return `${r},${g},${b},${0.3 * r! + 0.6 * g! + 0.1 * b!}`;
      });
      await writeFile(at('table.csv'), table.join('\n'));
      const run = ['--data', at('table.csv'), '--device', 'cpu', '--threads', '1', '--batch', '16', '--held-out', '8'];
      const first = await json('train', 'brightness', ...run, '--epochs', '1', '--lr', '0.001', '--out', at('run'));
      const model = await readFile(first.model as string);

      const found = await json('lr-find', 'brightness', ...run, '--out', at('rates.png'));
      expect(found.suggestion).to.be.within(1e-7, 10);
      expect((await readFile(at('rates.png'))).subarray(1, 4).toString()).to.equal('PNG');

      const store = ['--store', at('store')];
      const retrain = ['retrain', 'brightness', ...run, ...store, '--name', 'lamp', '--epochs', '30', '--lr', '0.1'];
      const tuned = await json(...retrain, '--from', first.model as string, '--out', at('tuned'));
      expect(tuned).to.include({ name: 'lamp', version: 1, active: true });
      expect(tuned.after).to.be.below(first.loss as number);
      const worse = await json(...retrain, '--from', 'lamp', '--epochs', '1', '--lr', '9', '--out', at('worse'));
      expect(worse).to.include({ name: 'lamp', version: 2, active: false, before: tuned.after });

      const damaged = await json(...retrain, '--name', 'torch', '--from', 'none', '--out', at('torch'));
      expect(damaged).to.include({ name: 'torch', version: 1, active: true });
      await writeFile(at('store/torch/1/model.onnx'), 'not what was registered');
      const args = [...retrain, '--name', 'torch', '--from', 'none', '--out', at('torch-2')];
      const { stdout, stderr } = await fettleWith(tasks, '--json', ...args);
      expect(JSON.parse(stdout)).to.include({ name: 'torch', version: 2, active: false });
      expect(stderr).to.match(
        /torch@2 is not compared with the version that serves \(torch@1: expected .*\) and does not/,
      );
      expect(stderr).to.include('fettle models use torch@2 serves it all the same');

      const { models } = (await json('models', 'list', ...store)) as { models: { name: string; active: number }[] };
      expect(models.find(({ name }) => name === 'lamp')).to.include({ active: 1, task: 'brightness' });
      const { config } = await (await openStores(at('store'), tasks)).resolve('lamp');
      expect(config).to.include({ task: 'brightness', version: 1 });
      const shown = await json('models', 'show', 'lamp@1', ...store);
      expect(shown).to.deep.include({
        task: 'brightness',
        brightness: { inputName: 'image', outputName: 'brightness', side: 8 },
      });

      const grey = { width: 40, height: 30, channels: 3, background: '#999999' } as const;
      await sharp({ create: grey }).png().toFile(at('grey.png'));
      const place = ['--device', 'cpu', '--workers', '1'];
      const { brightness } = await json('brightness', at('grey.png'), '--model', 'lamp', ...store, ...place);
      expect(brightness).to.be.closeTo(0x99 / 255, 0.1);

      await json('export', 'lamp@1', ...store, '-o', at('same.onnx'));
      expect(await readFile(at('same.onnx'))).to.deep.equal(await readFile(at('tuned/model.onnx')));
      expect(model.equals(await readFile(at('same.onnx')))).to.equal(false);
      const { files } = await json('export', 'lamp', ...store, '--ort-training', at('ort'), '--batch', '2');
      expect(files).to.deep.equal(artifactNames.map((name) => join(at('ort'), name)));
    }));

  it('without a model of its name, commands state the command that makes one', async () => {
    await withFolder(async (folder) => {
      const args = ['retrain', 'brightness', '--data', 'x', '--store', folder, '--from', 'lamp'];
      const { code, stderr } = await fettleWith(tasks, ...args);
      expect(code).to.equal(1);
      expect(stderr).to.include('; fettle retrain brightness --data PATH --from none --name lamp makes one');
    });
  });
});
