import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { rootDir } from '../../scripts/repo/source-files.ts';
import { withFolder } from '../helpers/photos.ts';

const node = (args: readonly string[], env: NodeJS.ProcessEnv = process.env) =>
  spawnSync(process.execPath, args, { encoding: 'utf8', env });

describe('scripts/bench/cuda', function () {
  this.timeout(120_000);

  it('prepares a folder that runs by itself, here on the CPU', () =>
    withFolder(async (folder) => {
      expect(node([join(rootDir, 'dist/scripts/bench/cuda/prepare.js'), folder]).status).to.equal(0);
      const out = join(folder, 'out.json');
      const run = (provider: string, only: string) =>
        node(
          [
            ...[join(folder, 'run.mjs'), '--provider', provider, '--only', only, '--out', out],
            ...['--ort', join(rootDir, 'node_modules/onnxruntime-node')],
          ],
          { ...process.env, NVIDIA_TF32_OVERRIDE: '0' },
        );
      const { status, stdout, stderr } = run('cpu', 'GRU');
      expect(status, stdout + stderr).to.equal(0);
      const { rows } = JSON.parse(readFileSync(out, 'utf8')) as { rows: Record<string, number>[] };
      expect(rows.map(({ title, difference }) => [title, difference])).to.deep.equal([['human-numbers GRU', 0]]);
      expect(rows[0]!.stepMs).to.be.above(0);
      const checks = run('cpu', 'output over its own input');
      expect(checks.status, checks.stdout + checks.stderr).to.equal(0);
      // A name that nothing has is an error, not a success of nothing.
      expect(run('cpu', 'no such case').status).to.equal(1);
      const cases = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8')) as {
        losses: Record<string, number[]>;
      };
      expect(cases.losses['human-numbers GRU']).to.have.length(21);
    }));
});
