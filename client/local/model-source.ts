import type { ClassifyModelSpec } from '../../tasks/classify/contract.ts';
import type { ImageModelSpec } from '../../tasks/pictures.ts';
import type { SegmentModelSpec } from '../../tasks/segment/contract.ts';
import { ensure } from '../../training/core/errors.ts';
import type { WebDevice } from '../../training/run/ort.web.ts';
import { type CallOptions, type Client, type ModelInfo, modelFor } from '../api.ts';
import type { TaskName } from './jobs.ts';

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

/** findModel: the version of a task's model that serves now (or did when the server was last seen). */
export const findModel = async (client: Client, task: TaskName): Promise<ModelInfo> =>
  modelFor(await client.models(), task);

/** The sections of config.json that state how a picture's model is fed. */
type Specs = Partial<
  Record<'image', ImageModelSpec> & Record<'segment', SegmentModelSpec> & Record<'classify', ClassifyModelSpec>
>;

/** specOf: how a model is fed and read; throws `bad-model` where its description lacks that. */
export function specOf<K extends keyof Specs>(info: ModelInfo, kind: K): NonNullable<Specs[K]> {
  const spec = (info as Specs)[kind];
  ensure(spec !== undefined, 'bad-model', () => `${idOf(info)}: expected \`${kind}\` in its config.json, got none`);
  return spec;
}

/** openModel: the version that serves now; its files come from the server, or from what the service worker kept. */
export async function openModel(client: Client, task: TaskName): Promise<LocalModel> {
  const info = await findModel(client, task);
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
