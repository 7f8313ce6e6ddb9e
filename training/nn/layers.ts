/* Every layer; docs/reference/layers.md lists them with their shapes. */

export * from './activations.ts';
export * from './attention.ts';
export * from './blocks.ts';
export * from './conv.ts';
export * from './dense.ts';
export { dropout, dropout2d, variationalDropout, weightDrop } from './dropout.ts';
export * from './embedding.ts';
export * from './linear.ts';
export * from './norm.ts';
export * from './pool.ts';
export * from './recurrent.ts';
export * from './resize.ts';
export { filterNorms, spectralNormed, type WeightNorm, weightNormed } from './weights.ts';
