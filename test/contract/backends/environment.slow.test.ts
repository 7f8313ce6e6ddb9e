import { execFileSync } from 'node:child_process';
import { expect } from 'chai';

/** What native code in a process that imports the sessions finds in its environment, as a process that it starts sees it. */
function seenWith(given: Readonly<Record<string, string>>): unknown {
  const { NVIDIA_TF32_OVERRIDE: _tf32, ORT_DISABLE_TELEMETRY: _telemetry, ...env } = process.env;
  const show =
    'process.stdout.write(JSON.stringify([process.env.NVIDIA_TF32_OVERRIDE, process.env.ORT_DISABLE_TELEMETRY]))';
  const run = `
    const { execFileSync } = await import('node:child_process');
    await import(${JSON.stringify(new URL('../../../training/run/ort.node.js', import.meta.url))});
    process.stdout.write(execFileSync(process.execPath, ['-e', ${JSON.stringify(show)}]));`;
  return JSON.parse(
    execFileSync(process.execPath, ['--input-type=module', '-e', run], { env: { ...env, ...given }, encoding: 'utf8' }),
  );
}

describe('what ONNX Runtime and the CUDA libraries read from the environment', () => {
  it('no TF32 and no reports', () => {
    expect(seenWith({})).to.deep.equal(['0', '1']);
  });

  it('the user may want either', () => {
    expect(seenWith({ NVIDIA_TF32_OVERRIDE: '1', ORT_DISABLE_TELEMETRY: '0' })).to.deep.equal(['1', '0']);
  });
});
