import type { GradTable } from './define.ts';
import { elementwiseGrads } from './elementwise.ts';
import { indexingGrads } from './indexing.ts';
import { layoutGrads } from './layout.ts';
import { linalgGrads } from './linalg.ts';
import { reduceGrads } from './reduce.ts';
import { spatialGrads } from './spatial.ts';

/** The derivative of every operator of `opTable`; a missing row is a compile error. */
export const gradRules: GradTable = {
  ...elementwiseGrads,
  ...reduceGrads,
  ...linalgGrads,
  ...spatialGrads,
  ...layoutGrads,
  ...indexingGrads,
  // Only exported graphs have these; training unrolls the time steps.
  RNN: 'none',
  GRU: 'none',
  LSTM: 'none',
  Scan: 'none',
};
