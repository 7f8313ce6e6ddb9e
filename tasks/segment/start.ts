import { ensure } from '../../training/core/errors.ts';
import { importWeights } from '../../training/nn/import.ts';
import type { ParamSpec, Weights } from '../../training/nn/scope.ts';
import { decodeModel } from '../../training/onnx/schema.ts';
import type { SegmentNetConfig } from './net.ts';

const factsOf = (model: Uint8Array): ReadonlyMap<string, string> =>
  new Map(decodeModel(model).metadataProps.map(({ key = '', value = '' }) => [key, value]));

/** segmentClassesOf: the names of the classes by id that `exportSegment` wrote into a model; undefined for models of before it did. */
export function segmentClassesOf(model: Uint8Array): readonly string[] | undefined {
  const names = factsOf(model).get('classes');
  return names === undefined ? undefined : (JSON.parse(names) as string[]);
}

/** segmentConfigOf: the configuration that `exportSegment` wrote into a model. Throws `bad-model` when there is none. */
export function segmentConfigOf(model: Uint8Array): SegmentNetConfig {
  const facts = factsOf(model);
  const config = facts.get('config');
  ensure(facts.get('task') === 'segment' && config !== undefined, 'bad-model', () => {
    return 'segmentConfigOf: expected a segment model exported by fettle, got one without its configuration; train one with fettle train segment';
  });
  return JSON.parse(config) as SegmentNetConfig;
}

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
