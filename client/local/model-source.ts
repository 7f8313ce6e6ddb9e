import { ensure } from '../../training/core/errors.ts';
import type { WebDevice } from '../../training/run/ort.web.ts';
import { type CallOptions, type Client, type ModelInfo, modelFor } from '../api.ts';

/** A version of the model, as it is on this device; `bytesFor` fetches (and checks) the graph that a device needs. */
export interface LocalModel {
  /** NAME@VERSION. */
  readonly id: string;
  readonly info: ModelInfo;
  bytesFor(device: WebDevice, options?: Pick<CallOptions, 'onProgress'>): Promise<Uint8Array>;
}

export const idOf = ({ name, version }: Pick<ModelInfo, 'name' | 'version'>): string => `${name}@${version}`;

/** modelFileFor: the file of a version that a device runs: `model.webgl.onnx` for WebGL where there is one. */
export const modelFileFor = ({ files }: Pick<ModelInfo, 'files'>, device: WebDevice): string =>
  device === 'webgl' && files['model.webgl.onnx'] !== undefined ? 'model.webgl.onnx' : 'model.onnx';

/** openModel: the version of the task's model (of `model`, if given) that serves now; its files come from the server, or from what the service worker kept. */
export async function openModel(client: Client, task: string, model: string | undefined): Promise<LocalModel> {
  const info = modelFor(await client.models(), task, model);
  const id = idOf(info);
  return {
    id,
    info,
    bytesFor: async (device, { onProgress } = {}) => {
      const file = modelFileFor(info, device);
      const options: CallOptions = {
        onProgress: ({ phase, ...progress }) => phase === 'download' && onProgress?.({ phase: 'model', ...progress }),
      };
      const bytes = new Uint8Array(await (await client.modelFile(info, file, options)).arrayBuffer());
      await checkHash(bytes, info.files[file]?.sha256, `${id}/${file}`);
      return bytes;
    },
  };
}

/** Hashing needs a secure context (https or localhost); elsewhere the file is taken as it came. */
async function checkHash(bytes: Uint8Array<ArrayBuffer>, expected: string | undefined, what: string): Promise<void> {
  if (expected === undefined || globalThis.crypto.subtle === undefined) return;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  const got = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  ensure(got === expected, 'bad-model', () => `openModel: expected sha256 ${expected} for ${what}, got ${got}; reload`);
}
