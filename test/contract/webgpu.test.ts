import { existsSync } from 'node:fs';
import { expect } from 'chai';
import { openSession } from '../../training/run/ort.node.ts';
import { probeModel } from '../../training/run/probe.ts';
import { compute, expectedOf } from '../golden/compute.ts';
import { goldenCases, relativeError } from '../golden/fixtures.ts';
import { layerForm } from '../golden/layer-forms.ts';
import { opForm } from '../golden/op-forms.ts';

/** Chromium's software Vulkan driver, as Debian installs it: a WebGPU device where there is no GPU. */
const swiftShader = '/usr/lib/chromium/vk_swiftshader_icd.json';

describe('graphs with gradients on WebGPU in Node, against PyTorch', () => {
  before(async function () {
    if (process.env.VK_DRIVER_FILES === undefined && existsSync(swiftShader)) process.env.VK_DRIVER_FILES = swiftShader;
    const reason = await openSession(probeModel(), { device: 'webgpu' }).then(
      (session) => session.release().then(() => undefined),
      (error: Error) => error.message,
    );
    if (reason === undefined) return;
    console.log(`    skipped, no WebGPU device: ${reason}`);
    this.skip();
  });

  for (const golden of goldenCases.filter(({ steps }) => steps === undefined)) {
    const found = layerForm(golden) ?? { golden, form: opForm(golden)! };
    it(`${golden.op}, ${golden.name}`, async () => {
      const got = await compute(found.golden, found.form, 'webgpu');
      for (const [name, tensor] of Object.entries(expectedOf(golden))) {
        expect(relativeError(got[name]!, tensor), name).to.be.below(1e-4);
      }
    });
  }
});
