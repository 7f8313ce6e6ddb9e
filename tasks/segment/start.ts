import { importWeights } from '../../training/nn/import.ts';
import type { ParamSpec, Weights } from '../../training/nn/scope.ts';
import { findMetadata, readMetadata } from '../../training/onnx/metadata.ts';
import type { SegmentNetConfig } from './net.ts';

/** segmentClassesOf: the names of the classes by id that `exportSegment` wrote into a model; undefined for models of before it did. */
export const segmentClassesOf = (model: Uint8Array): readonly string[] | undefined => findMetadata(model, 'classes');

/** segmentConfigOf: the configuration that `exportSegment` wrote into a model. Throws `bad-model` when there is none. */
export const segmentConfigOf = (model: Uint8Array): SegmentNetConfig =>
  readMetadata('segmentConfigOf', model, { task: 'segment', key: 'config', what: 'configuration' });

/** Whether a parameter is of the last layer, which makes the scores of the classes. */
const isHead = (name: string): boolean => name.startsWith('head.');

/**
 * startWeights: a value for every parameter: those of `exported` (weights of a run, or of an exported model), the last layer's from
 * `fresh` unless `keepHead`. Throws `bad-checkpoint` when the architecture is another.
 */
export function startWeights(
  specs: readonly ParamSpec[],
  exported: Weights,
  { fresh, keepHead }: { readonly fresh: Weights; readonly keepHead: boolean },
): Weights {
  const carried = importWeights(keepHead ? specs : specs.filter(({ name }) => !isHead(name)), exported);
  return new Map(specs.map(({ name }) => [name, carried.get(name) ?? fresh.get(name)!.slice()]));
}
