import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { ship } from '../../../scripts/results/ship.ts';
import { textModelFacts } from '../../../training/apps/text.ts';
import type { Progress } from '../../../training/loop/recorder.ts';
import { quantiseWeights } from '../../../training/onnx/quantise.ts';
import { checkpointFiles } from '../../../training/runs/checkpoint.node.ts';
import { Vocab } from '../../../training/text/vocab.ts';
import { decodeSafetensors } from '../../../training/weights/safetensors.ts';
import { measureTweets, type TweetsResult, withWords } from './tweets.ts';

/*
 * Puts what `fettle train text` and then `fettle retrain text` have made into models/zoo/text/1, with int8 weights.
 *   node dist/tasks/text/results/ship.js --body runs/text --tuned runs/retrain-text
 */

/** What a run's folder states of it. */
interface Run {
  readonly epochs: number;
  readonly hours: number;
  readonly perplexity: number;
}

async function runOf(folder: string, parts: readonly string[]): Promise<Run> {
  const all = await Promise.all(
    parts.map(async (part) => {
      const { metadata } = decodeSafetensors(await readFile(join(folder, part, checkpointFiles.latest)));
      return (JSON.parse(metadata.progress ?? '') as Progress).rows;
    }),
  );
  const rows = all.flat();
  const seconds = rows.reduce((sum, row) => sum + row.seconds, 0);
  const perplexities = all.at(-1)!.map(({ metrics }) => metrics.perplexity!);
  return { epochs: rows.length, hours: seconds / 3600, perplexity: Math.min(...perplexities) };
}

const licenceText = `Research only.

The weights in this folder were trained on WikiText-2 (S. Merity, C. Xiong, J. Bradbury, R. Socher; text of Wikipedia's authors, CC BY-SA 3.0) and
fine-tuned on public posts of one account, for which no licence is stated: those texts are their author's. Use the weights for research and for
trying the software out, not in a product. They are part of the repository and not of the npm package. The code around them is licensed under Apache-2.0.
`;

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

function card(measured: TweetsResult, body: Run, tuned: Run, tunedCommand: string): string {
  const { rows, words, unknown, posts, tokens } = measured;
  const table = rows.map(({ model, held, later }) => `| ${model} | ${held.toFixed(1)} | ${later.toFixed(1)} |`);
  return `# text, version 1

Writes short posts. **What it writes is made by a machine and is nobody's words**: it was fine-tuned on posts of one account and imitates their manner, so
it names people and companies and says things of them that are not true. Never show its texts as something that somebody said.

## Data
- WikiText-2: S. Merity, C. Xiong, J. Bradbury, R. Socher, "Pointer Sentinel Mixture Models", 2016. Articles of Wikipedia, CC BY-SA 3.0.
- ${posts.train + posts.held} public posts of @elonmusk up to the end of 2018, cleaned (no retweets, no duplicates, links of t.co and the names that replies begin with
  taken out): ${posts.train} to learn from (${tokens.train} tokens), the latest ${posts.held} held out. No licence is stated for them: research only.

## Training
\`\`\`
fettle train text --data $FETTLE_DATA/text/wikitext-2 --out runs/text --width 400 --hidden 1152 --vocab 60000 --epochs 1 --threads 1 --seed 1
${tunedCommand}
\`\`\`
AWD-LSTM: three LSTMs (1152, 1152, 400), 400 numbers per word, decoder and embedding one weight. From random weights ${body.epochs === 1 ? 'one pass' : `${body.epochs} passes`} over WikiText-2 in ${body.hours.toFixed(1)} hours
on one thread of a busy CPU (validation perplexity there ${body.perplexity.toFixed(1)} with its own 28 814 words); then ${tuned.epochs} over the posts in ${(60 * tuned.hours).toFixed(0)} minutes. The best pass by the perplexity on the
held-out posts was taken.

## Numbers
Perplexity per token, ${words} words for all models, xxunk counted like a word: ${percent(unknown.held)} of the tokens of the held-out posts, ${percent(unknown.later)} of those of 2019, which were not used for model selection
(${posts.later} posts).

| model | held out | 2019 |
|---|---|---|
${table.join('\n')}

The file holds int8 weights with a factor per row; the arithmetic is in f32. What that costs is in the table.

## Limits
It knows ${words} words, keeps no thread for longer than a sentence, and knows no facts: names, numbers and claims are invented. Whatever is offensive or wrong in
the posts it may repeat. English only.

## Licence
Research only; see LICENSE.
`;
}

async function shipText(bodyFolder: string, tunedFolder: string, tunedCommand: string): Promise<void> {
  const [body, tuned] = await Promise.all([bodyFolder, tunedFolder].map((dir) => readFile(join(dir, 'model.onnx'))));
  const measured = await measureTweets(body!, tuned!);
  const runs = [await runOf(bodyFolder, ['']), await runOf(tunedFolder, ['head', 'all'])] as const;
  const { config, words } = textModelFacts(tuned!);
  const model = quantiseWeights(withWords(tuned!, new Vocab(words)));
  const row = (name: string) => measured.rows.find(({ model }) => model === name)!;
  const shipped = row('fine-tuned, int8 weights');
  const metrics = {
    heldOutPerplexity: shipped.held,
    laterPerplexity: shipped.later,
    floatHeldOutPerplexity: row('fine-tuned').held,
    bodyHeldOutPerplexity: row('body').held,
    kneserNeyHeldOutPerplexity: row('5-gram Kneser-Ney').held,
    unknownShare: measured.unknown.held,
  };
  const description = `short posts, machine-written and nobody's words; WikiText-2, then posts of one account up to 2018, research only`;
  const target = await ship(
    { name: 'text', task: 'text', description, metrics },
    { 'model.onnx': model, 'card.md': card(measured, ...runs, tunedCommand), LICENSE: licenceText },
  );
  const { layers, width, hidden } = config;
  process.stdout.write(`${target}: ${model.length} bytes, ${layers} layers of ${width} and ${hidden}\n`);
  process.stdout.write(`${JSON.stringify(measured, null, 1)}\n`);
}

const { body, tuned, command } = new Command('ship-text')
  .option('--body <dir>', 'folder of fettle train text', join('runs', 'text'))
  .option('--tuned <dir>', 'folder of fettle retrain text', join('runs', 'retrain-text'))
  .requiredOption('--command <text>', 'the command that fine-tuned it, for the card')
  .parse()
  .opts<{ readonly body: string; readonly tuned: string; readonly command: string }>();
await shipText(body, tuned, command);
