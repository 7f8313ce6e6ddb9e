import { serveTasks } from '../core/worker-pool.node.ts';
import { type TextPart, type TokenisedParts, tokeniseParts } from './corpus.ts';

serveTasks<readonly TextPart[], TokenisedParts>(async (parts) => {
  const result = tokeniseParts(parts);
  return { result, transfer: [result.ids.buffer as ArrayBuffer] };
});
