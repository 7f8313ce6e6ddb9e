import { ensure } from '../core/errors.ts';
import { detokenise } from '../text/detokenise.ts';
import { tokenise } from '../text/tokenise.ts';
import type { Vocab } from '../text/vocab.ts';
import { logProbabilities } from './sample.ts';
import { type OpenTextModel, type RowState, TextRows } from './text-rows.ts';
import { Grammar, promptIds, withoutSpace } from './writer.ts';

export interface BeamOptions {
  readonly prompt?: string;
  /** Texts kept at every step; 10 by default. */
  readonly beams?: number;
  /** Next words tried of each; 10 by default. */
  readonly topK?: number;
  /** 40 by default. */
  readonly maxTokens?: number;
}

export interface Beam {
  readonly text: string;
  /** Sum of log p of its tokens, its end among them. */
  readonly logProbability: number;
  readonly finished: boolean;
}

interface Path {
  readonly ids: readonly number[];
  readonly logProbability: number;
  /** Row that it continues from. */
  readonly row: number;
  readonly finished: boolean;
}

/** beamSearch: the most likely texts found by keeping `beams` of them at every step, the best by log p per token first. */
export async function beamSearch(model: OpenTextModel, options: BeamOptions = {}): Promise<readonly Beam[]> {
  const { prompt = '', beams = 10, topK = 10, maxTokens = 40 } = options;
  for (const [name, value] of Object.entries({ beams, topK, maxTokens })) {
    ensure(Number.isSafeInteger(value) && value >= 1, 'bad-argument', () => {
      return `beamSearch: expected a whole ${name} of at least 1, got ${value}`;
    });
  }
  const { vocab } = model;
  const tokens = tokenise(prompt);
  const grammar = new Grammar(vocab);
  const rows = new TextRows(model);
  rows.add();
  await rows.read(promptIds(vocab, tokens));
  let paths: readonly Path[] = [{ ids: [], logProbability: 0, row: 0, finished: false }];
  for (let length = 0; length < maxTokens; length++) {
    const next = paths.flatMap((path) => (path.finished ? [path] : grown(path, rows, vocab, grammar, tokens, topK)));
    paths = next.sort((a, b) => b.logProbability - a.logProbability).slice(0, beams);
    const open = paths.filter(({ finished }) => !finished);
    if (open.length === 0) break;
    rearrange(
      rows,
      open.map(({ row }) => rows.state(row)),
    );
    await rows.read(Int32Array.from(open, ({ ids }) => ids.at(-1)!));
    let row = 0;
    paths = paths.map((path) => (path.finished ? path : { ...path, row: row++ }));
  }
  // The end is one of the tokens whose log p are summed.
  const perToken = ({ ids, logProbability, finished }: Path): number =>
    logProbability / (ids.length + (finished ? 1 : 0));
  const start = detokenise(tokens).length;
  return [...paths]
    .sort((a, b) => perToken(b) - perToken(a))
    .map(({ ids, logProbability, finished }) => {
      const text = detokenise([...tokens, ...vocab.textify(ids)]).slice(start);
      return { text: withoutSpace(prompt, text), logProbability, finished };
    });
}

function rearrange(rows: TextRows, states: readonly RowState[]): void {
  rows.clear();
  for (const state of states) rows.add(state);
}

/** A path with each of its `topK` most likely next words. */
function grown(
  path: Path,
  rows: TextRows,
  vocab: Vocab,
  grammar: Grammar,
  prompt: readonly string[],
  topK: number,
): Path[] {
  const logP = logProbabilities(rows.result(path.row).scores);
  const tokens = [...prompt, ...vocab.textify(path.ids.slice(-2))];
  const { banned = [], only } = grammar.rules(tokens.at(-1), tokens.at(-2), path.ids.length);
  for (const id of banned) logP[id] = Number.NEGATIVE_INFINITY;
  const ids = [...(only === undefined ? logP.keys() : Array.from(only))];
  return ids
    .sort((a, b) => logP[b]! - logP[a]!)
    .slice(0, topK)
    .map((id) => {
      const finished = grammar.isEnd(id);
      const all = finished ? path.ids : [...path.ids, id];
      return { ids: all, logProbability: path.logProbability + logP[id]!, row: path.row, finished };
    });
}
