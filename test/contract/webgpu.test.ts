import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { type DeviceReport, deviceCases } from './webgpu-cases.ts';

/** Chromium's software Vulkan driver, as Debian installs it: a WebGPU device where there is no GPU. */
const swiftShader = '/usr/lib/chromium/vk_swiftshader_icd.json';

type CaseReport = Extract<DeviceReport, { kind: 'case' }>;

describe('graphs with gradients on WebGPU in Node, against PyTorch', function () {
  // A software device on a busy machine.
  this.timeout(300_000);
  const reports = new Map<string, CaseReport>();
  let child: ChildProcess;
  let wake = (): void => undefined;
  let ended = false;

  before(async function () {
    const driver = existsSync(swiftShader) ? { VK_DRIVER_FILES: swiftShader } : {};
    child = fork(join(import.meta.dirname, 'webgpu-child.js'), { env: { ...driver, ...process.env }, stdio: 'ignore' });
    const first = new Promise<DeviceReport>((resolve) => child.once('message', resolve as (report: unknown) => void));
    child.on('message', (report: DeviceReport) => {
      if (report.kind === 'case') reports.set(report.title, report);
      wake();
    });
    child.on('exit', () => {
      ended = true;
      wake();
    });
    const exit = new Promise<DeviceReport>((resolve) =>
      child.once('exit', (code) => resolve({ kind: 'absent', reason: `its process ended with ${code}` })),
    );
    const report = await Promise.race([first, exit]);
    if (report.kind !== 'absent') return;
    console.log(`    skipped, no WebGPU device: ${report.reason}`);
    this.skip();
  });

  after(() => {
    child.kill();
  });

  /** The child's report of a case, waiting for it. */
  async function reportOf(title: string): Promise<CaseReport> {
    for (;;) {
      const report = reports.get(title);
      if (report !== undefined) return report;
      if (ended) throw new Error(`expected a report of ${title}, got the end of the process`);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }

  for (const { op, name } of deviceCases) {
    it(`${op}, ${name}`, async () => {
      const { errors, failure } = await reportOf(`${op}, ${name}`);
      expect(failure).to.equal(undefined);
      for (const [output, error] of Object.entries(errors!)) expect(error, output).to.be.below(1e-4);
    });
  }
});
