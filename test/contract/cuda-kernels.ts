import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootDir } from '../../scripts/repo/source-files.ts';
import type { DType } from '../../training/core/dtype.ts';
import type { Graph, Node, Value } from '../../training/onnx/graph.ts';

interface OperatorRow {
  /** Versions of the operator, the first of them that of opset 18; a model's opset means the newest that is not newer. */
  readonly since: readonly number[];
  readonly in: readonly string[];
  readonly out: readonly string[];
  /** `opset` is `13+`, `13-18` or `18`; `types` are separated by spaces. */
  readonly kernels: readonly { readonly opset: string; readonly types: Readonly<Record<string, string>> }[];
}

/** ONNX Runtime's published list of CUDA kernels, as far as fettle's operators go. */
export const cudaKernels = JSON.parse(readFileSync(join(rootDir, 'test', 'fixtures', 'cuda-kernels.json'), 'utf8')) as {
  readonly commit: string;
  readonly operators: Readonly<Record<string, OperatorRow>>;
};

const onnxNames: Readonly<Record<DType, string>> = {
  float32: 'float',
  float64: 'double',
  int32: 'int32',
  int64: 'int64',
  uint8: 'uint8',
  uint32: 'uint32',
  bool: 'bool',
};

/**
 * Whether a kernel takes a version of its operator: one with an end takes all between, one without takes none but its first. Source:
 * `VerifyVersion` in onnxruntime/core/framework/kernel_registry.cc.
 */
function takes(range: string, version: number): boolean {
  if (range.endsWith('+')) return Number(range.slice(0, -1)) === version;
  const [first, last] = range.split('-').map(Number);
  return version >= first! && version <= (last ?? first!);
}

/** Why the values do not fit the parameters, or undefined. */
function misfit(
  values: readonly (Value | undefined)[],
  params: readonly string[],
  types: Readonly<Record<string, string>>,
  bound: Map<string, string>,
): string | undefined {
  for (const [i, value] of values.entries()) {
    const param = params[i] ?? (params.at(-1)?.endsWith('...') ? params.at(-1) : undefined);
    if (value === undefined) continue;
    if (param === undefined) return `a parameter more than the ${params.length} that it has`;
    const found = onnxNames[value.dtype];
    const variable = param.replace('...', '');
    const allowed = types[variable] ?? variable;
    if (!allowed.split(' ').includes(found)) return `${variable} = ${found}, not one of ${allowed}`;
    // A variable is one type in all places; the members of a loop's state may differ.
    if (param.endsWith('...') && variable === 'V') continue;
    if ((bound.get(variable) ?? found) !== found) return `${variable} = ${found} and ${bound.get(variable)}`;
    bound.set(variable, found);
  }
  return undefined;
}

/** Why CUDA has no kernel for a node at an opset, or undefined when it has one. */
export function whyNoKernel(
  { op, domain, inputs, outputs }: Omit<Node, 'name' | 'attrs'>,
  opset: number,
): string | undefined {
  const row = domain === '' ? cudaKernels.operators[op] : undefined;
  if (row === undefined) return `${domain}${op}: no kernel at all`;
  const version = row.since.findLast((one) => one <= opset);
  const kernel = version && row.kernels.find(({ opset: range }) => takes(range, version));
  if (!kernel) return `${op}: none at opset ${opset}`;
  const bound = new Map<string, string>();
  const reason = misfit(inputs, row.in, kernel.types, bound) ?? misfit(outputs, row.out, kernel.types, bound);
  return reason && `${op}: ${reason}`;
}

/** Every node of a graph, those in bodies of loops too. */
export function* nodesOf(graph: Graph): Generator<Node> {
  for (const node of graph.nodes) {
    yield node;
    for (const attr of Object.values(node.attrs)) if (attr.kind === 'graph') yield* nodesOf(attr.value);
  }
}

/** The reasons, each once, why nodes of a graph have no CUDA kernel. */
export const withoutKernel = (graph: Graph, opset: number): string[] => [
  ...new Set([...nodesOf(graph)].flatMap((node) => whyNoKernel(node, opset) ?? [])),
];
