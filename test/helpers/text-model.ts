import { type AwdLstmConfig, awdLstmDefaults } from '../../models/awd-lstm.ts';
import type { ModelStore } from '../../server/store/store.ts';
import { exportLanguageModel } from '../../training/apps/text.ts';
import { specialTokens } from '../../training/text/special.ts';
import { Vocab } from '../../training/text/vocab.ts';
import { randomTextWeights } from './random-text-model.ts';

const words = 'the cat dog sees likes moon sea and of a in to rocket red blue runs fast . , ! ? 2 3 7'.split(' ');
const vocab = new Vocab([...specialTokens, ...words]);

/** A language model that knows a few words and nothing about them. It would write xxunk as often as any, and end seldom. */
export function tinyTextModel(seed = 1): Uint8Array {
  const config: AwdLstmConfig = { ...awdLstmDefaults, words: vocab.size, width: 12, hidden: 20, layers: 2 };
  const weights = randomTextWeights(config, seed);
  const bias = weights.get('decoder.bias')!;
  bias[vocab.id('xxunk')] = 3;
  for (const end of ['xxbos', 'xxeos']) bias[vocab.id(end)] = -6;
  return exportLanguageModel(weights, config, vocab);
}

/** Registers a language model as the next version of a name and makes it the active one. */
export async function publishText(
  store: ModelStore,
  model: Uint8Array = tinyTextModel(),
  name = 'text',
): Promise<number> {
  const config = {
    name,
    task: 'text',
    createdAt: new Date(0).toISOString(),
    description: 'for a test',
    metrics: {},
  } as const;
  const files = { 'model.onnx': model, 'card.md': '# For a test', LICENSE: 'Apache-2.0' };
  const { version } = (await store.register(name, files, config)).config;
  await store.use(name, version);
  return version;
}
