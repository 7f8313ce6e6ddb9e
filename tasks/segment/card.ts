import type { CardFacts } from '../training.node.ts';
import type { SegmentData } from './folder.node.ts';
import type { SegmentRunConfig, SegmentRunResult } from './recipe.node.ts';
import type { SegmentScore } from './score.node.ts';

interface Numbers {
  readonly after: SegmentScore;
  /** Of what it started from, where that has the same classes. */
  readonly before: SegmentScore | undefined;
}

export const percent = (share: number | undefined): string =>
  share === undefined || Number.isNaN(share) ? '-' : `${(100 * share).toFixed(1)} %`;

function table({ classes }: SegmentData, { after, before }: Numbers): string {
  const row = (name: string, of: (score: SegmentScore) => number): string =>
    `| ${name} | ${before === undefined ? '' : `${percent(of(before))} | `}${percent(of(after))} |`;
  return [
    before === undefined ? '| | this model |\n|---|---|' : '| | started from | this model |\n|---|---|---|',
    row('pixel accuracy', ({ accuracy }) => accuracy),
    row('mean IoU', ({ meanIou }) => meanIou),
    ...classes.map(({ name }, id) => row(`IoU ${name}`, ({ iou }) => iou[id]!)),
  ].join('\n');
}

/** The card of a retrained segmentation model: data, licence, command, seed, numbers, limits. Markdown. */
export function segmentCard(
  facts: CardFacts,
  config: SegmentRunConfig,
  data: SegmentData,
  { best, rows, health }: SegmentRunResult,
  numbers: Numbers,
): string {
  const { stages, passes, batchSize, lr, seed, balance } = config;
  const list = stages
    .map(({ epochs, size }) => `${epochs * passes} passes at ${size.width} x ${size.height}`)
    .join(', ');
  const pixels = health.pixels.reduce((sum, count) => sum + count, health.voidPixels);
  const shares = data.classes.map(({ name }, id) => `${name} ${percent(health.pixels[id]! / pixels)}`).join(', ');
  return `# ${facts.name}, ${facts.startedFrom === undefined ? 'trained' : 'fine-tuned'}

Gives every pixel of a photo one of ${data.classes.length} classes. fastai's DynamicUnet on a small residual encoder.

## Data
${facts.data} ${data.train.length} pairs trained on, ${data.valid.length} held
out. Shares of the pixels: ${shares}.

## Training
\`\`\`
${facts.command}
\`\`\`
From ${facts.startedFrom ?? 'random weights'}, seed ${seed}: ${list}; batches of ${batchSize}; AdamW, one-cycle, highest rate ${lr}; class weights (median share / share)^${balance}. The weights
are those of the epoch with the best mean IoU on the held-out pairs (${best.epoch + 1} of its phase; ${rows.length} in all).

## Numbers
On the ${numbers.after.pictures} held-out pairs, which this run did not train on but chose its epoch by; photos with a short side of ${numbers.after.shortSide} px, against the masks at their own size:

${table(data, numbers)}

## Limits
It knows what these photos show, as they show it, and gives everything else one of its classes all the same. Held-out photos that are much like others of the
same folder flatter it. Not for decisions where a mistake harms.

## Licence
${facts.licence}
`;
}
