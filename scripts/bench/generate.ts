/*
 * Writing texts against the bare session: the same net, as many rows, only `run()` with its states going round. Both in turn, medians.
 *
 *     npm run build:ts && node dist/scripts/bench/generate.js [--net full|small] [--threads 1] [--rounds 7] [--tokens 64]
 *
 * Weights are random, but the decoder's bias falls with the word's rank as -1.5 log(rank), so that next words are as uneven as those of a trained
 * model (perplexity 25). The bare session has the same file without what helps sampling.
 */
import { type AwdLstmConfig, awdLstmDefaults } from '../../models/awd-lstm.ts';
import { randomTextWeights } from '../../test/helpers/random-text-model.ts';
import { exportLanguageModel, openTextModel } from '../../training/apps/text.ts';
import { type GenerateOptions, TextEngine } from '../../training/generate/engine.ts';
import { type OpenTextModel, TextRows } from '../../training/generate/text-rows.ts';
import { decodeModel, encodeModel } from '../../training/onnx/schema.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { specialTokens } from '../../training/text/special.ts';
import { Vocab } from '../../training/text/vocab.ts';
import { benchOptions } from './options.ts';
import { machine, median, warnIfBusy } from './race.ts';

const nets: Readonly<Record<string, Partial<AwdLstmConfig> & { readonly words: number }>> = {
  full: { words: 20_000 },
  small: { width: 256, hidden: 512, words: 16_000 },
};

/** Ways to choose the next word that are asked for in practice. */
const ways: Readonly<Record<string, GenerateOptions>> = {
  'top-p 0.95': { temperature: 0.8, topP: 0.95 },
  'top-k 40': { temperature: 0.8, topK: 40 },
  'top-p, penalty': { temperature: 0.8, topP: 0.95, repetitionPenalty: 1.2 },
  'all words': { temperature: 1 },
  likeliest: { temperature: 0 },
};

function unevenModel(net: Partial<AwdLstmConfig> & { readonly words: number }): Uint8Array {
  const config: AwdLstmConfig = { ...awdLstmDefaults, ...net };
  const weights = randomTextWeights(config, 1);
  // No text ends: special words are omitted.
  const bias = Float32Array.from({ length: config.words }, (_, id) => {
    return id < specialTokens.length ? -30 : -1.5 * Math.log(id - specialTokens.length + 1);
  });
  weights.set('decoder.bias', bias);
  const words = Array.from({ length: config.words - specialTokens.length }, (_, i) => `word${i}`);
  return exportLanguageModel(weights, config, new Vocab([...specialTokens, ...words]));
}

/** The file without what only sampling uses. */
function bare(model: Uint8Array): Uint8Array {
  const proto = decodeModel(model);
  const extra = new Set(['temperature', 'probabilities']);
  const without = <T extends { name: string }>(list: readonly T[]): T[] => list.filter(({ name }) => !extra.has(name));
  const graph = { ...proto.graph, input: without(proto.graph.input), output: without(proto.graph.output) };
  const gone = new Set(extra);
  // From the end: a node goes when nothing is left that reads it.
  const kept = graph.output.map(({ name }) => name);
  const node = [...graph.node].reverse().filter(({ input, output }) => {
    const used = output.some((name) => kept.includes(name) && !gone.has(name));
    if (used) kept.push(...input);
    return used;
  });
  return encodeModel({ ...proto, graph: { ...graph, node: node.reverse() } });
}

interface Round {
  readonly tokensPerSecond: number;
  readonly firstMs: number;
}

/** `streams` requests at once; tokens per second from the moment when all have their first. */
async function write(engine: TextEngine, streams: number, tokens: number, way: GenerateOptions): Promise<Round> {
  const start = performance.now();
  const firsts: number[] = [];
  const requests = Array.from({ length: streams }, (_, seed) => {
    const seen = { first: false };
    const onText = (): void => {
      if (!seen.first) firsts.push(performance.now());
      seen.first = true;
    };
    return engine.write({ prompt: 'word3 word9 word1 word30 word4 word2', seed, maxTokens: tokens, onText, ...way });
  });
  const written = await Promise.all(requests);
  const end = performance.now();
  const made = written.reduce((sum, [text]) => sum + text!.tokens - 1, 0);
  if (made !== streams * (tokens - 1)) throw new Error(`bench: expected ${tokens} tokens of each text, got ${made}`);
  return { tokensPerSecond: (1000 * made) / (end - Math.max(...firsts)), firstMs: firsts[0]! - start };
}

async function runOnly(model: OpenTextModel, streams: number, tokens: number): Promise<number> {
  const rows = new TextRows(model);
  for (let i = 0; i < streams; i++) rows.add();
  const words = new Int32Array(streams).fill(20);
  const start = performance.now();
  for (let t = 1; t < tokens; t++) await rows.read(words);
  return (1000 * streams * (tokens - 1)) / (performance.now() - start);
}

const options = benchOptions({ net: 'full', threads: 1, rounds: 7, tokens: 64, way: '' });
const { threads, rounds, tokens } = options;
const net = nets[options.net];
if (net === undefined) throw new Error(`bench: expected a net of ${Object.keys(nets)}, got ${options.net}`);
warnIfBusy(threads);
const file = unevenModel(net);
const open = (graph: Uint8Array) => openSession(graph, { threads });
const model = await openTextModel(file, open);
const plain: OpenTextModel = { ...model, session: await open(bare(file)), weighs: false };
const engine = new TextEngine(model);
for (const streams of [1, 16])
  for (const [name, way] of Object.entries(ways)) {
    if (options.way !== '' && options.way !== name) continue;
    const [ours, theirs]: [Round[], number[]] = [[], []];
    for (let round = -1; round < rounds; round++) {
      const [one, other] = [await write(engine, streams, tokens, way), await runOnly(plain, streams, tokens)];
      if (round < 0) continue;
      ours.push(one);
      theirs.push(other);
    }
    const [mine, bareRate] = [median(ours.map(({ tokensPerSecond }) => tokensPerSecond)), median(theirs)];
    const share = median(ours.map(({ tokensPerSecond }, i) => tokensPerSecond / theirs[i]!));
    const first = median(ours.map(({ firstMs }) => firstMs));
    console.log(
      `${options.net}, ${streams} streams, ${name}: ${mine.toFixed(0)} tokens/s, bare ${bareRate.toFixed(0)}: ${(100 * share).toFixed(1)} %; first token ${first.toFixed(0)} ms`,
    );
  }
console.log(JSON.stringify(machine()));
