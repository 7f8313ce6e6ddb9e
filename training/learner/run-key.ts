import type { Tensor } from '../core/tensor.ts';
import { toOnnx } from '../onnx/export.ts';
import type { Graph } from '../onnx/graph.ts';
import { buildForward, outputUpdates } from '../step/train-step.ts';
import { type ModelParts, taskOf } from './compiled.ts';
import type { LearningRate } from './groups.ts';
import type { Batch } from './options.ts';
import type { ResolvedLearner } from './resolve.ts';

/** What decides the numbers of a run besides the options of its learner. */
export interface RunFacts {
  readonly schedule: string;
  readonly epochs: number;
  readonly lr: LearningRate;
  /** Of the schedule. */
  readonly settings: unknown;
  readonly wd: number;
  /** Batches of one update. */
  readonly accumulate: number;
  /** Epochs that the learner had trained before. */
  readonly before: number;
  /** The first parameter group that is trained, and how many there are. */
  readonly frozen: number;
  readonly groups: number;
  /** Of a step that is not the learner's own. */
  readonly stepGraphs?: readonly Graph[] | undefined;
}

/** SHA-256 of graphs as ONNX: model, loss, dropout, class weights, every constant. */
async function hashOf(graphs: readonly Graph[]): Promise<string | undefined> {
  // Browsers have it on pages of https and of the machine itself.
  if (globalThis.crypto?.subtle === undefined) return undefined;
  const bytes = await new Blob(graphs.map((graph) => new Uint8Array(toOnnx(graph)))).arrayBuffer();
  const digest = await crypto.subtle.digest('SHA-256', bytes);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The training's forward graph with its loss. */
function lossGraph(parts: ModelParts, { x, y }: Batch): Graph {
  const { graph, scope, loss } = buildForward(taskOf(parts, { x, y }), true);
  graph.output('loss', loss);
  outputUpdates(graph, scope);
  return graph;
}

const showTensor = ({ dtype, dims }: Tensor): string => `${dtype}[${dims.join(',')}]`;

/**
 * All that a run's numbers follow from, but for the data themselves, as JSON: a checkpoint continues only with the same. The names are the
 * words in which `showDifference` reports what differs.
 */
export async function runKey(
  { schedule, epochs, lr, settings, wd, accumulate, before, frozen, groups, stepGraphs }: RunFacts,
  learner: ResolvedLearner,
  batch: Batch,
): Promise<string> {
  const { data, metrics, optimizer, hyper, wdNormBias, trainBn, seed } = learner;
  const { lr: _, wd: __, ...defaults } = optimizer.hyper;
  return JSON.stringify({
    schedule,
    epochs,
    'learning rate': lr,
    settings,
    optimizer: optimizer.name,
    hyper: { ...defaults, ...hyper },
    'weight decay': wd,
    'weight decay of norms and biases': wdNormBias,
    seed,
    accumulate,
    'epochs trained before': before,
    'parameter groups': groups,
    'first trained group': frozen,
    'training of frozen norms': trainBn,
    'batches per epoch': data.train.batchesPerEpoch,
    batch: { x: showTensor(batch.x), y: showTensor(batch.y) },
    metrics: metrics.map(({ name }) => name),
    graph: await hashOf([lossGraph(learner, batch)]),
    ...(stepGraphs && { step: await hashOf(stepGraphs) }),
  });
}
