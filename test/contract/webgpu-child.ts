/* Runs every PyTorch case on the WebGPU provider and sends what it finds; a process of its own because Vulkan reads its settings once. */
import { openSession } from '../../training/run/ort.node.ts';
import { probeModel } from '../../training/run/probe.ts';
import { compute, expectedOf } from '../golden/compute.ts';
import { relativeError } from '../golden/fixtures.ts';
import { type DeviceReport, deviceCases, formFor } from './webgpu-cases.ts';

const send = (report: DeviceReport): Promise<void> => new Promise((resolve) => process.send!(report, () => resolve()));
const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

try {
  await (await openSession(probeModel(), { device: 'webgpu' })).release();
  await send({ kind: 'ready' });
  for (const golden of deviceCases) {
    const found = formFor(golden);
    const title = `${golden.op}, ${golden.name}`;
    try {
      const got = await compute(found.golden, found.form, 'webgpu');
      const errors = Object.entries(expectedOf(golden)).map(([name, value]) => [
        name,
        relativeError(got[name]!, value),
      ]);
      await send({ kind: 'case', title, errors: Object.fromEntries(errors) });
    } catch (error) {
      await send({ kind: 'case', title, failure: textOf(error) });
    }
  }
} catch (error) {
  await send({ kind: 'absent', reason: textOf(error) });
}
process.exit(0);
