import { ensure } from '../core/errors.ts';
import { decodeModel } from '../onnx/schema.ts';

/** What has to be known of an exported language model to write with it; see `exportLanguageModel`. */
export interface TextModelParts {
  readonly words: readonly string[];
  readonly states: readonly { readonly name: string; readonly size: number }[];
  /** Whether the graph makes probabilities for sampling. */
  readonly weighs: boolean;
}

/** textModelParts: the bytes of a model -> its words and states. Throws `bad-model` where it is not a language model that can write. */
export function textModelParts(model: Uint8Array): TextModelParts {
  const { graph, metadataProps } = decodeModel(model);
  const facts = metadataProps.find(({ key }) => key === 'fettle.text')?.value;
  ensure(facts !== undefined, 'bad-model', () => {
    return 'textModelParts: expected a language model exported by fettle, got one without its vocabulary; train one with fettle train text';
  });
  const { words, config } = JSON.parse(facts) as {
    readonly words: readonly string[];
    readonly config: { readonly backwards?: boolean };
  };
  ensure(config.backwards !== true, 'bad-model', () => {
    return 'textModelParts: expected a model that reads forwards, got one that reads backwards; it is for classifiers and taggers, not for writing';
  });
  const states = graph.input.flatMap(({ name, type }) => {
    const size = type?.tensorType?.shape?.dim[2]?.dimValue;
    return name.startsWith('state.') && size !== undefined ? [{ name, size }] : [];
  });
  return { words, states, weighs: graph.input.some(({ name }) => name === 'temperature') };
}
