import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { deviceOption, openerOf, parseWhole, report } from '../../scripts/cli/cli.ts';
import { ensure, FettleError } from '../../training/core/errors.ts';
import { mostSeed } from '../../training/core/rng.ts';
import type { GenerateOptions } from '../../training/generate/engine.ts';
import type { OpenTextModel } from '../../training/generate/text-rows.ts';

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

const number =
  (option: string) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value))
      throw new FettleError('bad-argument', `${option}: expected a number, got ${text}`);
    return value;
  };

/** `fettle generate [PROMPT]`. */
export function register(program: Command): void {
  const command = program
    .command('generate')
    .description('write texts that go on where a prompt ends')
    .argument('[prompt]', 'what the texts begin with', '');
  deviceOption(command)
    .option('--model <name[@v]>', 'a text model of the store, or a model.onnx', 'text')
    .option('--store <dir>', 'where trained models are (FETTLE_STORE, else ./fettle-models)')
    .option('--threads <n>', 'threads of the arithmetic (default: all cores)', parseWhole('--threads', 1, 256))
    .option('-n, --n <n>', 'texts', parseWhole('--n', 1, 64), 1)
    .option('--max-tokens <n>', 'tokens of a text at most', parseWhole('--max-tokens', 1, 10_000), 60)
    .option(
      '--temperature <x>',
      'below 1: likely words become likelier; 0: always the likeliest',
      number('--temperature'),
      0.8,
    )
    .option('--top-k <n>', 'only the n likeliest words; 0: all', parseWhole('--top-k', 0, 1_000_000), 0)
    .option('--top-p <x>', 'only the likeliest words that together have this probability', number('--top-p'), 0.95)
    .option('--min-p <x>', 'only words with this share of the likeliest one’s probability', number('--min-p'), 0)
    .option(
      '--repetition-penalty <x>',
      'above 1: words that occurred become less likely',
      number('--repetition-penalty'),
      1,
    )
    .option('--seed <n>', 'same seed, same texts', parseWhole('--seed', 0, mostSeed), 1)
    .option('--stop <text...>', 'a text ends before any of these')
    .option(
      '--beams <n>',
      'instead of chance, the likeliest texts that a beam of n finds',
      parseWhole('--beams', 1, 1000),
    );
  command.action((prompt: string, options: Options) => run(command, prompt, options));
}

async function readModel({ model, store }: Options): Promise<Uint8Array> {
  if (model.endsWith('.onnx')) return readFile(model);
  const [{ openStore }, { storeDirOf, zooDir }] = await Promise.all([
    import('../../server/store/store.ts'),
    import('../../server/store/paths.ts'),
  ]);
  const models = openStore({ zooDir, storeDir: storeDirOf(store) });
  return models.read(await models.resolve(model), 'model.onnx');
}

/** What belongs to chance says nothing of a beam, and a beam of n has n texts. */
function checkBeams(command: Command, { beams, n }: Options): void {
  if (beams === undefined) return;
  const foreign = (['stop', 'seed', 'temperature', 'topK', 'topP', 'minP', 'repetitionPenalty'] as const).find(
    (name) => command.getOptionValueSource(name) === 'cli',
  );
  const flag = foreign?.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  ensure(foreign === undefined, 'bad-argument', () => `--${flag}: expected none with --beams, got one; leave it out`);
  ensure(n <= beams, 'bad-argument', () => `--n: expected at most the ${beams} of --beams, got ${n}`);
}

async function run(command: Command, prompt: string, options: Options): Promise<void> {
  checkBeams(command, options);
  const { openTextModel } = await import('../../training/apps/text.ts');
  const bytes = await readModel(options);
  const { open } = await openerOf(options);
  const model = await openTextModel(bytes, open);
  try {
    await (options.beams === undefined
      ? sample(command, model, prompt, options)
      : search(command, model, prompt, options));
  } finally {
    await model.session.release();
  }
}

/** One text is written as it comes; several at the end. */
async function sample(command: Command, model: OpenTextModel, prompt: string, options: Options): Promise<void> {
  const { generateText } = await import('../../training/generate/generate.ts');
  const live = options.n === 1 && process.stdout.isTTY && command.optsWithGlobals().json !== true;
  const request: GenerateOptions = { ...options, prompt };
  if (live) {
    process.stdout.write(prompt);
    await generateText(model, { ...request, onText: (_, piece) => process.stdout.write(piece) });
    process.stdout.write('\n');
    return;
  }
  const candidates = await generateText(model, request);
  report(
    command,
    { prompt, seed: options.seed, candidates },
    candidates.map(({ text }) => (prompt + text).trim()).join('\n\n'),
  );
}

async function search(command: Command, model: OpenTextModel, prompt: string, options: Options): Promise<void> {
  const { beamSearch } = await import('../../training/generate/beam.ts');
  const found = await beamSearch(model, { prompt, beams: options.beams!, maxTokens: options.maxTokens });
  const candidates = found.slice(0, options.n);
  report(command, { prompt, candidates }, candidates.map(({ text }) => (prompt + text).trim()).join('\n\n'));
}
