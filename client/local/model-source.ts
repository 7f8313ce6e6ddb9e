import { ensure } from '../../training/core/errors.ts';
import type { ImageModelSpec } from '../../training/core/model-config.ts';
import type { WebDevice } from '../../training/run/ort.web.ts';
import { type Client, type ModelInfo, modelFor } from '../api.ts';

/** A version of the model, as it is on this device; `bytesFor` fetches (and checks) the graph that a device needs. */
export interface LocalModel {
  /** NAME@VERSION. */
  readonly id: string;
  readonly spec: ImageModelSpec;
  bytesFor(device: WebDevice): Promise<Uint8Array>;
}

export const idOf = ({ name, version }: Pick<ModelInfo, 'name' | 'version'>): string => `${name}@${version}`;

/** modelFileFor: the file of a version that a device runs: `model.webgl.onnx` for WebGL where there is one. */
export const modelFileFor = ({ files }: Pick<ModelInfo, 'files'>, device: WebDevice): string =>
  device === 'webgl' && files['model.webgl.onnx'] !== undefined ? 'model.webgl.onnx' : 'model.onnx';

/** findModel: the version that serves now (or did when the server was last seen). */
export const findModel = async (client: Client): Promise<ModelInfo> => modelFor(await client.models(), 'restore');

/** openModel: the version that serves now; its files come from the server, or from what the service worker kept. */
export async function openModel(client: Client): Promise<LocalModel> {
  const info = await findModel(client);
  const id = idOf(info);
  const { image } = info;
  ensure(image !== undefined, 'bad-model', () => `openModel: expected ${id} to map pictures to pictures`);
  return {
    id,
    spec: image,
    bytesFor: async (device) => {
      const file = modelFileFor(info, device);
      const bytes = new Uint8Array(await (await client.modelFile(info, file)).arrayBuffer());
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
