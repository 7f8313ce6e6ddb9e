import { ensure } from '../core/errors.ts';
import { decodeModel, type ModelProto } from './schema.ts';

/** Where our exports write something about a model, as JSON under `key`. */
export interface MetadataKey {
  /** The task that the model is for; a model that names another is refused. */
  readonly task: string;
  readonly key: string;
  /** What it is, for errors: the model's `configuration`. */
  readonly what: string;
}

const protoOf = (model: Uint8Array | ModelProto): ModelProto =>
  model instanceof Uint8Array ? decodeModel(model) : model;

const entryOf = ({ metadataProps }: ModelProto, key: string): string | undefined =>
  metadataProps.find((entry) => entry.key === key)?.value;

/** findMetadata: what an export wrote into a model under `key` as JSON; undefined where it wrote nothing. */
export function findMetadata<T>(model: Uint8Array | ModelProto, key: string): T | undefined {
  const text = entryOf(protoOf(model), key);
  return text === undefined ? undefined : (JSON.parse(text) as T);
}

/** readMetadata: what an export wrote into a model; `where` is the caller. Throws `bad-model` for models of another task or without it. */
export function readMetadata<T>(where: string, model: Uint8Array | ModelProto, { task, key, what }: MetadataKey): T {
  const proto = protoOf(model);
  const [text, written = task] = [entryOf(proto, key), entryOf(proto, 'task')];
  ensure(text !== undefined && written === task, 'bad-model', () => {
    const got = written === task ? `one without its ${what}` : `one of the task ${written}`;
    return `${where}: expected a ${task} model exported by fettle, got ${got}; train one with fettle train ${task}`;
  });
  return JSON.parse(text) as T;
}
