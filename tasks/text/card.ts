import type { CardFacts } from '../training.node.ts';
import type { TextRunResult } from './recipe.node.ts';

/** How many posts a model learnt from, and on how many it was measured. */
export interface PostCounts {
  readonly trained: number;
  readonly held: number;
}

/** The card of a model that was fine-tuned on posts. Markdown. */
export function textCard(
  { name, startedFrom, licence, command }: CardFacts,
  { best, before, unknown, vocab, model }: TextRunResult,
  { trained, held }: PostCounts,
): string {
  const was = before === undefined ? '' : `, before fine-tuning ${before.toFixed(2)}`;
  return `# ${name}, ${startedFrom === undefined ? 'trained' : 'fine-tuned'} on posts

Writes short texts in the style of ${trained} posts that it was trained on, from ${startedFrom ?? 'random weights'}. What it writes is made by a machine: it is nobody's
words, and states things that are not true.

\`\`\`
${command}
\`\`\`

| | |
|---|---|
| held out | the last ${held} posts |
| perplexity there | ${best.metrics.perplexity!.toFixed(2)}${was} |
| words | ${vocab.size}; ${(100 * unknown).toFixed(2)} % of the held-out ones are unknown to it |
| net | ${model.layers} layers, ${model.width} numbers per word, ${model.hidden} per state |

The posts are their authors'; what may be done with them is for the user to know. ${licence}
`;
}
