import { showShape } from '../core/shape.ts';
import { sizeOf } from '../core/tensor.ts';
import type { ParamSpec, Scope } from '../nn/scope.ts';
import type { Node } from '../onnx/graph.ts';

/** One layer that owns parameters. */
export interface LayerRow {
  /** `encoder.0.down`. */
  readonly layer: string;
  /** The operator that gives the layer's output. */
  readonly op: string;
  readonly outputShape: string;
  readonly params: number;
  readonly trainable: boolean;
}

export interface ModelSummary {
  readonly rows: readonly LayerRow[];
  readonly params: number;
  readonly trainableParams: number;
  /** Running statistics, which are kept but not trained. */
  readonly bufferValues: number;
}

const ownerOf = (spec: ParamSpec): string => spec.name.slice(0, Math.max(0, spec.name.lastIndexOf('.')));
const pathOf = (node: Node): string => node.name.split('/').slice(0, -1).join('.');
const count = (specs: readonly ParamSpec[]): number => specs.reduce((sum, spec) => sum + sizeOf(spec.shape), 0);

/** The layers of the model built in `scope`, in order: output shape, parameters, whether they are trained. */
export function summarise(scope: Scope, isTrained: (name: string) => boolean = () => true): ModelSummary {
  const params = scope.specs.filter((spec) => spec.kind === 'param');
  const rows = [...new Set(params.map(ownerOf))].map((layer): LayerRow => {
    const last = scope.graph.nodes.findLast((node) => pathOf(node) === layer);
    const own = params.filter((spec) => ownerOf(spec) === layer);
    return {
      layer,
      op: last?.op ?? '',
      outputShape: last === undefined ? '' : showShape(last.outputs[0]!.shape),
      params: count(own),
      trainable: own.some((spec) => isTrained(spec.name)),
    };
  });
  const trainableParams = count(params.filter((spec) => isTrained(spec.name)));
  return {
    rows,
    params: count(params),
    trainableParams,
    bufferValues: count(scope.specs.filter((spec) => spec.kind === 'buffer')),
  };
}

/** The summary as the lesson's table. */
export function formatSummary({ rows, params, trainableParams, bufferValues }: ModelSummary): string {
  const cells = [
    ['Layer', 'Op', 'Output shape', 'Params', 'Trainable'],
    ...rows.map((row) => [row.layer, row.op, row.outputShape, row.params.toLocaleString('en'), String(row.trainable)]),
  ];
  const widths = cells[0]!.map((_, i) => Math.max(...cells.map((line) => line[i]!.length)));
  const lines = cells.map((line) =>
    line
      .map((cell, i) => (i === 3 ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
  const rule = '-'.repeat(widths.reduce((sum, width) => sum + width + 2, -2));
  const totals = [
    `Total params: ${params.toLocaleString('en')}`,
    `Total trainable params: ${trainableParams.toLocaleString('en')}`,
    `Total non-trainable params: ${(params - trainableParams).toLocaleString('en')}`,
  ];
  return [
    lines[0],
    rule,
    ...lines.slice(1),
    rule,
    ...totals,
    ...(bufferValues === 0 ? [] : [`Running statistics: ${bufferValues.toLocaleString('en')}`]),
  ].join('\n');
}
