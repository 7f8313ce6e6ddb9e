import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { flagOf, openerOf, report, wantsJson, withOptions } from '../../scripts/cli/cli.ts';
import {
  anyNumber,
  deviceOption,
  option,
  storeOption,
  threadsOption,
  trainOptions,
  whole,
} from '../../scripts/cli/options.ts';
import { openStores, resolveModel } from '../../scripts/cli/stores.ts';
import { ensure } from '../../training/core/errors.ts';
import { mostSeed } from '../../training/core/rng.ts';
import type { GenerateOptions } from '../../training/generate/engine.ts';
import type { TextModelParts } from '../../training/generate/text-model.ts';
import type { Session } from '../../training/run/session.ts';
import type { TrainedTask } from '../training.node.ts';

interface Options {
  readonly model: string;
  readonly store?: string;
  readonly device: 'auto' | 'cpu' | 'webgpu' | 'cuda';
  readonly threads?: number;
  readonly n: number;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly seed: number;
  readonly stop?: readonly string[];
  readonly beams?: number;
}

/** `fettle generate [PROMPT]`. */
function generateCommand(program: Command, tasks: readonly TrainedTask[]): void {
  const command = program
    .command('generate')
    .description('write texts that continue a prompt')
    .argument('[prompt]', 'what the texts begin with', '');
  withOptions(
    command,
    option('--model <name[@v]>', 'a text model of the store, or a model.onnx', undefined, 'text'),
    storeOption(),
    deviceOption(),
    threadsOption(),
    option('-n, --n <n>', 'texts', whole(1, 64), 1),
    option('--max-tokens <n>', 'tokens of a text at most', whole(1, 10_000), 60),
    option('--temperature <x>', 'below 1: likely words become more likely; 0: always the most likely', anyNumber, 0.8),
    option('--top-k <n>', 'only the n most likely words; 0: all', whole(0, 1_000_000), 0),
    option('--top-p <x>', 'only the most likely words that together have this probability', anyNumber, 0.95),
    option('--min-p <x>', 'only words with this share of the most likely one’s probability', anyNumber, 0),
    option('--repetition-penalty <x>', 'above 1: words that occurred become less likely', anyNumber, 1),
    option('--seed <n>', 'same seed, same texts', whole(0, mostSeed), 1),
    option('--stop <text...>', 'a text ends before any of these'),
    option('--beams <n>', 'instead of sampling, the most likely texts that a beam of n finds', whole(1, 1000)),
  ).action((prompt: string, options: Options) => run(command, prompt, options, tasks));
}

async function readModel({ model, store }: Options, tasks: readonly TrainedTask[]): Promise<Uint8Array> {
  if (model.endsWith('.onnx')) return readFile(model);
  const models = await openStores(store, tasks);
  return models.read(await resolveModel(models, model, 'text', '--model'), 'model.onnx');
}

/** Options of sampling mean nothing for a beam, and a beam of n has n texts. */
function checkBeams(command: Command, { beams, n }: Options): void {
  if (beams === undefined) return;
  const foreign = (['stop', 'seed', 'temperature', 'topK', 'topP', 'minP', 'repetitionPenalty'] as const).find(
    (name) => command.getOptionValueSource(name) === 'cli',
  );
  ensure(
    foreign === undefined,
    'bad-argument',
    () => `${flagOf(foreign!)}: expected none with --beams, got one; omit it`,
  );
  ensure(n <= beams, 'bad-argument', () => `--n: expected at most the ${beams} of --beams, got ${n}`);
}

async function run(command: Command, prompt: string, options: Options, tasks: readonly TrainedTask[]): Promise<void> {
  checkBeams(command, options);
  const { textModelParts } = await import('../../training/generate/text-model.ts');
  const bytes = await readModel(options, tasks);
  const parts = textModelParts(bytes);
  const session = await (await openerOf(options)).open(bytes);
  try {
    await (options.beams === undefined ? sample : search)(command, { parts, session }, prompt, options);
  } finally {
    await session.release();
  }
}

interface Opened {
  readonly parts: TextModelParts;
  readonly session: Session;
}

/** One text is written as it comes; several at the end. */
async function sample(command: Command, { parts, session }: Opened, prompt: string, options: Options): Promise<void> {
  const { writeTexts } = await import('./infer.ts');
  const live = options.n === 1 && process.stdout.isTTY && !wantsJson(command);
  const request: GenerateOptions = { ...options, prompt };
  if (live) {
    process.stdout.write(prompt);
    await writeTexts(parts, session, { ...request, onText: (_, piece) => process.stdout.write(piece) });
    process.stdout.write('\n');
    return;
  }
  const candidates = await writeTexts(parts, session, request);
  report(
    command,
    { prompt, seed: options.seed, candidates },
    candidates.map(({ text }) => (prompt + text).trim()).join('\n\n'),
  );
}

async function search(command: Command, { parts, session }: Opened, prompt: string, options: Options): Promise<void> {
  const { searchTexts } = await import('./infer.ts');
  const found = await searchTexts(parts, session, { prompt, beams: options.beams!, maxTokens: options.maxTokens });
  const candidates = found.slice(0, options.n);
  report(command, { prompt, candidates }, candidates.map(({ text }) => (prompt + text).trim()).join('\n\n'));
}

const postOptions = [
  option('--column <name>', 'where the text is in a table of posts (default: text, full_text, content …)'),
  option('--until <date>', 'posts of this day and later are skipped'),
];

export const textTask: TrainedTask = {
  name: 'text',
  makes: 'a model that writes texts',
  options: (verb) => [
    ...trainOptions({
      data:
        verb === 'retrain'
          ? 'posts in .csv, .jsonl, .json, .txt or an archive’s tweets.js'
          : `a .txt or .txt.gz file, or a folder of them${verb === 'train' ? '' : '; or posts, as for retrain'}`,
      ...(verb !== 'retrain'
        ? {}
        : { epochs: 'passes of the whole net; one before them, in which only the last layer learns, is added' }),
      batch: 'texts per step',
      workers: 'threads that read texts',
    }),
    option('--vocab <n>', 'words at most', whole(100, 1_000_000)),
    option('--width <n>', 'numbers per word', whole(4, 4096)),
    option('--hidden <n>', 'numbers in the state of a layer', whole(4, 8192)),
    option('--bptt <n>', 'words per step', whole(2, 1000)),
    ...(verb === 'lr-find' ? [] : [option('--prompt <text>', 'what the samples after each epoch begin with')]),
    ...(verb === 'train' ? [] : postOptions),
  ],
  commands: generateCommand,
  contract: async () => (await import('./contract.ts')).textContract,
  load: async () => (await import('./train.node.ts')).textTraining,
};
