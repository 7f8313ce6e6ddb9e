import type { WebDevice } from '../training/run/ort.web.ts';

export type { WebDevice } from '../training/run/ort.web.ts';

/** How the page calls the devices. */
export const webDeviceNames: Readonly<Record<WebDevice, string>> = {
  webgpu: 'WebGPU',
  webgl: 'WebGL',
  wasm: 'WebAssembly',
};
