import { FettleError } from '../core/errors.ts';
import { sizeOf } from '../core/tensor.ts';
import type { ParamSpec, Weights } from './scope.ts';
import { filterNorms } from './weights.ts';

/** The value of one parameter in an exported model's weights: as it is, or taken apart where the export folded it. */
export function parameterValue(spec: ParamSpec, exported: Weights): Float32Array | undefined {
  const direct = exported.get(spec.name);
  if (direct !== undefined) return direct;
  const folded = exported.get(spec.name.replace(/weight_[gv]$/, 'weight'));
  if (folded === undefined || !/\.weight_[gv]$/.test(spec.name)) return undefined;
  return spec.name.endsWith('_v') ? folded : filterNorms(folded, spec.shape[0]!);
}

/** Trainable parameters from the weights of an exported model: w = g v / |v| comes apart as v = w, g = |w|. */
export function importWeights(specs: readonly ParamSpec[], exported: Weights): Map<string, Float32Array> {
  return new Map(
    specs.map((spec) => {
      const value = parameterValue(spec, exported);
      if (value?.length !== sizeOf(spec.shape)) {
        throw new FettleError(
          'bad-checkpoint',
          `importWeights: expected ${spec.name} [${spec.shape}], got ${value?.length ?? 'no'} values; the model has another architecture, train from scratch instead`,
        );
      }
      return [spec.name, value.slice()];
    }),
  );
}
