import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { FettleError } from '../../training/core/errors.ts';
import { chooseDevice, openSession } from '../../training/run/ort.node.ts';
import { probeModel } from '../../training/run/probe.ts';

const failure = async (promise: Promise<unknown>): Promise<FettleError> => {
  try {
    await promise;
  } catch (error) {
    return error as FettleError;
  }
  throw new Error('expected a rejection');
};

describe('run: onnxruntime-node', () => {
  it('starts no telemetry: a process that ran a model leaves nothing among the temporary files', () => {
    const folder = mkdtempSync(join(tmpdir(), 'fettle-quiet-'));
    const run = `
      const { openSession } = await import(${JSON.stringify(new URL('../../training/run/ort.node.js', import.meta.url))});
      const { probeModel } = await import(${JSON.stringify(new URL('../../training/run/probe.js', import.meta.url))});
      await openSession(probeModel());`;
    const { ORT_DISABLE_TELEMETRY: _mine, CI: _ci, ...env } = process.env;
    execFileSync(process.execPath, ['--input-type=module', '-e', run], { env: { ...env, TMPDIR: folder } });
    expect(readdirSync(folder)).to.deep.equal([]);
    rmSync(folder, { recursive: true });
  });

  it('says what does not load', async () => {
    const error = await failure(openSession(Uint8Array.of(1, 2, 3)));
    expect([error.code, /3 bytes/.test(error.message)]).to.deep.equal(['bad-model', true]);
    expect((await failure(openSession(probeModel(), { device: 'webgl' }))).code).to.equal('no-device');
  });
});

describe('run: choice of device', () => {
  it('gives a reason for everything it passed over', async () => {
    const { device, skipped } = await chooseDevice('auto');
    const order = ['cuda', 'webgpu', 'cpu'];
    expect(skipped.map((one) => one.device)).to.deep.equal(order.slice(0, order.indexOf(device)));
    for (const one of skipped) expect(one.reason).to.have.length.above(10);
  });

  it('takes the CPU when asked, and names the device that is not there', async () => {
    expect(await chooseDevice('cpu')).to.deep.equal({ device: 'cpu', skipped: [] });
    const { skipped } = await chooseDevice('auto');
    for (const { device } of skipped) {
      const error = await failure(chooseDevice(device as 'cuda'));
      expect([error.code, error.message.includes(device)]).to.deep.equal(['no-device', true]);
    }
  });
});
