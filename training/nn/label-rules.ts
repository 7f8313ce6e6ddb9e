import { ensure } from '../core/errors.ts';
import type { Tensor } from '../core/tensor.ts';
import type { Graph, Value } from '../onnx/graph.ts';

/*
 * A graph that meets a label which is no class computes something all the same, and not the same in every form: it takes -1 as the
 * last class, or counts it as no loss. So losses note here what labels they expect, and whoever feeds the graph looks at them.
 */

interface LabelNote {
  readonly loss: string;
  readonly labels: Value;
  /** Labels are 0 .. classes - 1. */
  readonly classes: number;
  readonly ignoreIndex: number | undefined;
}

/** What the labels that a graph's input holds must be. */
export interface LabelRule extends Omit<LabelNote, 'labels'> {
  readonly input: string;
}

const notes = new WeakMap<Graph, LabelNote[]>();

/** noteLabels: states what a loss expects of its labels, an int32 value. */
export function noteLabels(note: LabelNote): void {
  const { graph } = note.labels;
  const known = notes.get(graph);
  if (known === undefined) notes.set(graph, [note]);
  else known.push(note);
}

/** Operators that give all elements of their first input and no others. */
const rearranging: ReadonlySet<string> = new Set([
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Flatten',
  'Transpose',
  'Identity',
]);

/**
 * labelRules: the rules of the inputs that losses of `graph` take labels from, as they are or in another shape. Of labels that are a
 * part of an input (the last word of each text, say) there is no rule: the rest may be anything.
 */
export function labelRules(graph: Graph): LabelRule[] {
  const makers = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const originOf = (value: Value): Value => {
    const node = makers.get(value);
    return node !== undefined && rearranging.has(node.op) ? originOf(node.inputs[0]!) : value;
  };
  const rules = (notes.get(graph) ?? []).map(({ labels, ...rule }) => ({ ...rule, origin: originOf(labels) }));
  return rules.flatMap(({ origin, ...rule }) =>
    graph.inputs.includes(origin) ? [{ ...rule, input: origin.name }] : [],
  );
}

/** The place of element `index` in a tensor, `[2,0,7]`. */
function placeOf(index: number, dims: readonly number[]): string {
  let rest = index;
  const place = dims.toReversed().map((size) => {
    const at = rest % size;
    rest = Math.floor(rest / size);
    return at;
  });
  return `[${place.reverse()}]`;
}

/** checkLabels: throws `bad-data` for the first label of a batch that is neither a class nor the ignored one, with its place. */
export function checkLabels(batch: Readonly<Record<string, Tensor>>, rules: readonly LabelRule[]): void {
  for (const { input, loss, classes, ignoreIndex } of rules) {
    const { data, dims } = batch[input]!;
    const labels = data as Int32Array;
    for (let i = 0; i < labels.length; i++) {
      const label = labels[i]!;
      ensure((label >= 0 && label < classes) || label === ignoreIndex, 'bad-data', () => {
        const ignored = ignoreIndex === undefined ? '' : ` or ${ignoreIndex}, which is ignored`;
        const help = ignoreIndex === undefined ? 'give ignoreIndex if it stands for no class' : 'look at the labels';
        return `${loss}: expected labels 0..${classes - 1}${ignored}, got ${label} at ${input}${placeOf(i, dims)}; ${help}`;
      });
    }
  }
}
