import type { CardFacts } from '../training.node.ts';
import type { ClassifyRunConfig, ClassifyRunResult } from './recipe.node.ts';
import type { ClassifyScore } from './score.node.ts';

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** Total of the photos measured. */
export const photosOf = ({ report }: ClassifyScore): number => report.reduce((sum, { support }) => sum + support, 0);

/** Precision, recall and F1 of every class. */
function table({ report }: ClassifyScore, classes: readonly string[]): string {
  const rows = report.map(
    ({ label, precision, recall, f1, support }) =>
      `| ${classes[label]} | ${precision.toFixed(2)} | ${recall.toFixed(2)} | ${f1.toFixed(2)} | ${support} |`,
  );
  return ['| class | precision | recall | F1 | held out |', '|---|---|---|---|---|', ...rows].join('\n');
}

/** The card of a classifier: data, licence, command, seed, numbers, limits. Markdown. */
export function classifyCard(
  facts: CardFacts,
  config: ClassifyRunConfig,
  classes: readonly string[],
  { health, rows }: Pick<ClassifyRunResult, 'health' | 'rows'>,
  { after, before }: { readonly after: ClassifyScore; readonly before: ClassifyScore | undefined },
): string {
  const { stages, samplesPerEpoch, batchSize, lr, seed, validSize } = config;
  const list = stages.map(({ epochs, size }) => `${epochs} epochs at ${size.width} x ${size.height}`).join(', ');
  const counts = health.counts.map(({ label, train, valid }) => `${label} ${train} + ${valid}`).join(', ');
  const was = before === undefined ? '' : ` What it started from: ${percent(before.accuracy)}.`;
  return `# ${facts.name}, ${facts.startedFrom === undefined ? 'trained' : 'fine-tuned'}

Names what a photo shows, one of ${classes.length} classes. A small residual encoder with fastai's head; photos go in at ${validSize.width} x ${validSize.height}.

## Data
${facts.data} Trained on + held out: ${counts}.

## Training
\`\`\`
${facts.command}
\`\`\`
From ${facts.startedFrom ?? 'random weights'}, seed ${seed}: ${list}, ${rows.length} epochs in all, each of about ${samplesPerEpoch} samples or all photos; batches of ${batchSize}; AdamW, one-cycle,
highest rate ${lr}; random crops, flips, light and colour. The weights are an exponential mean of those of the steps, at the end; the held-out photos were not used to choose anything.

## Numbers
Accuracy ${percent(after.accuracy)} on ${photosOf(after)} held-out photos; always saying the most frequent class has ${percent(after.majority)}.${was}

${table(after, classes)}

## Limits
It knows what these photos show, as they show it, and gives everything else one of its classes all the same. Held-out photos that are much like others of the
same folder flatter it. Not for decisions where a mistake harms.

## Licence
${facts.licence}
`;
}
