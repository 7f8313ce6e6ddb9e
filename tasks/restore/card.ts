import type { CardFacts } from '../training.node.ts';
import type { RestoreRunConfig, RestoreRunResult } from './recipe.node.ts';

const decibel = (value: number | undefined): string => (value === undefined ? '-' : `${value.toFixed(2)} dB`);

function numbers({ best, before, heldOut }: RestoreRunResult): string {
  const row = (name: string, key: string): string =>
    `| ${name} | ${before === undefined ? '' : `${decibel(before[key])} | `}${decibel(best.metrics[key])} |`;
  const head =
    before === undefined
      ? ['| PSNR (RGB, 8 bit, mean) | this model |', '|---|---|']
      : ['| PSNR (RGB, 8 bit, mean) | started from | this model |', '|---|---|---|'];
  return [
    `On ${heldOut.length} held-out pictures, which this run did not train on; 192 px short side, the lesson's damage:`,
    '',
    ...head,
    row('damaged picture, enlarged bilinearly', 'input_psnr'),
    row('restored', 'psnr'),
    row('undamaged picture against itself restored', 'undamaged_psnr'),
  ].join('\n');
}

/** The card of a restoration model: data, licence, command, seed, numbers, limits. Markdown. */
export function restoreCard(facts: CardFacts, config: RestoreRunConfig, result: RestoreRunResult): string {
  const stages = config.stages
    .map(({ epochs, size, batchSize }) => `${epochs} epochs of ${size} x ${size} crops, batch ${batchSize}`)
    .join('; ');
  const recipes = config.recipes
    .map(({ weight, damage, scale }) => `- ${weight}: \`${damage}\`${scale === 1 ? '' : `, at 1/${scale} of the size`}`)
    .join('\n');
  return `# ${facts.name}${facts.startedFrom === undefined ? '' : ', fine-tuned'}

Removes JPEG damage, small drawn numbers and the blur of enlarging from photos. A convolutional U-Net; it sees ${'`image.halo`'} pixels around
each pixel and nothing else, and it adds to the picture rather than painting a new one.

## Data
${facts.data}
${result.trained} pictures trained on, ${result.heldOut.length} held out (by a hash of seed and file name)${result.failures.length === 0 ? '' : `, ${result.failures.length} unreadable and skipped`}.

## Training
\`\`\`
${facts.command}
\`\`\`
${facts.startedFrom === undefined ? 'From random weights' : `From ${facts.startedFrom}`}, seed ${config.seed}; ${stages}; ${config.samplesPerEpoch} crops per epoch; loss ${config.loss}; AdamW, one-cycle, highest rate
${config.lr}. The weights are those of epoch ${result.best.epoch}, the best of ${result.rows.length} on the held-out pictures. Damage, by weight:

${recipes}

## Numbers
${numbers(result)}

## Limits
The lesson's damage was met at half the size only, so a small photo is best restored at \`scale=2\`: left at its own size, a number drawn on it
mostly stays. Detail that the damage destroyed is made plausible, not recovered: do not use it where the content of a picture is evidence. It was
trained on photographs; drawings, scans of text and screenshots may come out softer.

## Licence
${facts.licence}
`;
}
