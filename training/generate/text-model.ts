import { ensure } from '../core/errors.ts';
import { type MetadataKey, readMetadata } from '../onnx/metadata.ts';
import { decodeModel } from '../onnx/schema.ts';
import { Vocab } from '../text/vocab.ts';
import type { OpenTextModel } from './text-rows.ts';

/** Where `exportLanguageModel` writes what has to be known to write with a model. */
export const textMetadata: MetadataKey = { task: 'text', key: 'fettle.text', what: 'vocabulary' };

/** What has to be known of an exported language model to write with it; see `exportLanguageModel`. */
export interface TextModelParts {
  readonly words: readonly string[];
  readonly states: readonly { readonly name: string; readonly size: number }[];
  /** Whether the graph makes probabilities for sampling. */
  readonly weighs: boolean;
}

/** textModelParts: the bytes of a model -> its words and states. Throws `bad-model` where it is not a language model that can write. */
export function textModelParts(model: Uint8Array): TextModelParts {
  const proto = decodeModel(model);
  const { words, config } = readMetadata<{
    readonly words: readonly string[];
    readonly config: { readonly backwards?: boolean };
  }>('textModelParts', proto, textMetadata);
  ensure(config.backwards !== true, 'bad-model', () => {
    return 'textModelParts: expected a model that reads forwards, got one that reads backwards; it is for classifiers and taggers, not for writing';
  });
  const states = proto.graph.input.flatMap(({ name, type }) => {
    const size = type?.tensorType?.shape?.dim[2]?.dimValue;
    return name.startsWith('state.') && size !== undefined ? [{ name, size }] : [];
  });
  return { words, states, weighs: proto.graph.input.some(({ name }) => name === 'temperature') };
}

/** textModel: what is known of a language model, and its session -> the model, open for writing. */
export const textModel = <S extends OpenTextModel['session']>(
  { words, ...parts }: TextModelParts,
  session: S,
): OpenTextModel & { readonly session: S } => ({ session, vocab: new Vocab(words), ...parts });
