import asyncifyMjs from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url';
import asyncifyWasm from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url';
import plainMjs from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import plainWasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';
import type { RuntimeFiles, WebDevice } from '../../training/run/ort.web.ts';

const absolute = (url: string): string => new URL(url, globalThis.location.href).href;

/** The runtime's files as this build serves them. WebGL is script alone, so it has none. */
export const runtimeFiles: Readonly<Partial<Record<WebDevice, RuntimeFiles>>> = {
  webgpu: { mjs: absolute(asyncifyMjs), wasm: absolute(asyncifyWasm) },
  wasm: { mjs: absolute(plainMjs), wasm: absolute(plainWasm) },
};
