import { f32, i64, sizeOf, type Tensor } from '../core/tensor.ts';
import { tensorProto, toModelProto } from '../onnx/export.ts';
import type { Graph } from '../onnx/graph.ts';
import { encodeModel, type NodeProto, type TensorProto, type ValueInfoProto } from '../onnx/schema.ts';
import type { TrainState } from './state.ts';
import { gradName, nextName } from './train-step.ts';

/** Flat tensors of a state: one for each span of the parameters, of their gradients and of each moment, and the buffers. */
export const flatNames = {
  param: (span: number): string => `flat.param.${span}`,
  grad: (span: number): string => `flat.grad.${span}`,
  moment: (span: number, moment: number): string => `flat.moment.${moment}.${span}`,
  buffers: 'flat.buffers',
} as const;

/** A named tensor of a state within a flat one. */
interface Member {
  readonly name: string;
  readonly dims: readonly number[];
  readonly offset: number;
}

/** A flat tensor, what lies in it in order, what the step makes of each member, and of the whole. */
interface Flat {
  readonly name: string;
  readonly size: number;
  readonly members: readonly Member[];
  readonly resultOf: (member: string) => string;
  readonly result: string;
}

/** Elements between the beginnings of two views of one buffer. */
const distance = (whole: Float32Array, part: Float32Array): number => (part.byteOffset - whole.byteOffset) / 4;

function flatsOf(state: TrainState): Flat[] {
  const { specs, spans, tensors, params, buffers } = state;
  const membersOf = (kind: 'param' | 'buffer', whole: Float32Array): Member[] =>
    specs
      .filter((spec) => spec.kind === kind)
      .map(({ name }) => ({
        name,
        dims: tensors.get(name)!.dims,
        offset: distance(whole, tensors.get(name)!.data),
      }))
      .sort((a, b) => a.offset - b.offset);
  const all = membersOf('param', params);
  const ofSpans = spans.map(({ offset, size }, i): Flat => {
    const inside = all.filter((member) => member.offset >= offset && member.offset < offset + size);
    const members = inside.map((member) => ({ ...member, offset: member.offset - offset }));
    return { name: flatNames.param(i), size, members, resultOf: gradName, result: flatNames.grad(i) };
  });
  const name = flatNames.buffers;
  const ofBuffers = { size: buffers.length, members: membersOf('buffer', buffers), resultOf: nextName };
  return [...ofSpans, { name, ...ofBuffers, result: nextName(name) }];
}

/** Nodes with the constants they need, as they are written one after the other. */
class Writer {
  readonly nodes: NodeProto[] = [];
  readonly constants: TensorProto[] = [];

  add(opType: string, input: string[], output: string, attribute: NodeProto['attribute'] = []): string {
    this.nodes.push({ opType, name: `${output}/${opType}`, input, output: [output], attribute });
    return output;
  }

  constant(tensor: Tensor): string {
    const name = `flat.constant.${this.constants.length}`;
    this.constants.push(tensorProto(name, tensor));
    return name;
  }

  reshape(input: string, dims: readonly number[], output: string): string {
    return this.add('Reshape', [input, this.constant(i64([dims.length], dims))], output);
  }
}

const ints = (...values: number[]): Tensor => i64([values.length], values);

/** `flat` -> its members under their own names. */
function takeApart(writer: Writer, { name, size, members }: Flat): void {
  for (const { name: member, dims, offset } of members) {
    const end = offset + sizeOf(dims);
    const range = [ints(offset), ints(end), ints(0)];
    const part =
      end - offset === size
        ? name
        : writer.add('Slice', [name, ...range.map((one) => writer.constant(one))], `flat.part/${member}`);
    writer.reshape(part, dims, member);
  }
}

/** What the step makes of the members -> the whole; where it makes nothing, the gradient is zero and a buffer as it was. */
function join(writer: Writer, flat: Flat, made: ReadonlySet<string>): void {
  const parts = flat.members.map(({ name, dims }) => {
    const result = flat.resultOf(name);
    const size = sizeOf(dims);
    if (made.has(result)) return writer.reshape(result, [size], `flat.result/${name}`);
    if (flat.name === flatNames.buffers) return writer.reshape(name, [size], `flat.result/${name}`);
    return writer.constant(f32([size], new Float32Array(size)));
  });
  writer.add('Concat', parts, flat.result, [{ name: 'axis', type: 2, i: 0 }]);
}

const flatInfo = (name: string, size: number): ValueInfoProto => ({
  name,
  type: { tensorType: { elemType: 1, shape: { dim: [{ dimValue: size }] } } },
});

/** A training graph whose numbers are the flat tensors of {@link flatNames}. */
interface FlatStep {
  readonly model: Uint8Array;
  /** Outputs besides `loss`. */
  readonly results: readonly string[];
}

/**
 * The training graph of `state` with the flat tensors as inputs and outputs instead of one tensor for each parameter: the
 * optimiser's few long tensors are then the same, and can stay where they are. Gradients of a span come out when any of
 * its parameters is trained, the buffers when any of them is updated.
 */
export function flatStep(training: Graph, state: TrainState): FlatStep {
  const proto = toModelProto(training);
  const { graph } = proto;
  const inputs = new Set(graph.input.map(({ name }) => name));
  const made = new Set(graph.output.map(({ name }) => name));
  const flats = flatsOf(state).filter(({ members }) => members.some(({ name }) => inputs.has(name)));
  const joined = flats.filter(({ members, resultOf }) => members.some(({ name }) => made.has(resultOf(name))));
  const [before, after] = [new Writer(), new Writer()];
  for (const flat of flats) takeApart(before, flat);
  after.constants.push(...before.constants);
  for (const flat of joined) join(after, flat, made);
  const input = [
    ...graph.input.filter(({ name }) => !state.tensors.has(name)),
    ...flats.map(({ name, size }) => flatInfo(name, size)),
  ];
  const output = [
    ...graph.output.filter(({ name }) => name === 'loss'),
    ...joined.map(({ result, size }) => flatInfo(result, size)),
  ];
  const initializer = [...graph.initializer, ...after.constants];
  const node = [...before.nodes, ...graph.node, ...after.nodes];
  const model = encodeModel({ ...proto, graph: { ...graph, node, initializer, input, output } });
  return { model, results: joined.map(({ result }) => result) };
}
