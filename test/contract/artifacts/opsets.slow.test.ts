import { expect } from 'chai';
import type { FettleError } from '../../../training/core/errors.ts';
import { ortArtifacts } from '../../../training/export/ort-artifacts.ts';
import { backward } from '../../../training/grad/backward.ts';
import { toModelProto, toOnnx } from '../../../training/onnx/export.ts';
import { Graph, type Value } from '../../../training/onnx/graph.ts';
import { newestOpset, oldestOpset } from '../../../training/onnx/opsets.ts';
import { encodeModel } from '../../../training/onnx/schema.ts';
import * as o from '../../../training/ops/build.ts';
import { samples } from '../../grad/samples.ts';
import { lessonCnn, mlp, startState, weightsOf } from '../../helpers/ort-cases.ts';
import { ortTrainer } from '../../helpers/ort-training.ts';
import { openCpu } from '../../helpers/tiny-tasks.ts';

const load = async (model: Uint8Array): Promise<void> => (await openCpu(model)).release();

/** y = build(x) for x f32 of the given shape. */
function graphOf(build: (x: Value) => Value, dims: readonly number[] = [4, 6]): Graph {
  const graph = new Graph('one');
  graph.output('y', build(graph.input('x', 'float32', dims)));
  return graph;
}

const rows = (x: Value): Value => x.graph.constant('int32', [4, 6], new Int32Array(24));

/** One graph for each form that is newer than opset 12, and the first opset that has it. */
const newer: readonly (readonly [string, Graph, number])[] = [
  ['ReduceMean', graphOf((x) => o.reduceMean(x, { axes: [1] })), 18],
  ['ReduceMax', graphOf((x) => o.reduceMax(x, { axes: [1] })), 18],
  ['ReduceSum', graphOf((x) => o.reduceSum(x, { axes: [1] })), 13],
  ['Squeeze', graphOf((x) => o.squeeze(x, [0]), [1, 3]), 13],
  ['Unsqueeze', graphOf((x) => o.unsqueeze(x, [0])), 13],
  ['Split', graphOf((x) => o.split(x, [3, 3], 1)[1]!), 13],
  ['Softmax', graphOf((x) => o.softmax(x, 0)), 13],
  ['Resize', graphOf((x) => o.resize(x, 2, 'nearest'), [1, 1, 2, 2]), 13],
  ['Reshape', graphOf((x) => o.reshape(x, [24])), 14],
  ['ScatterElements', graphOf((x) => o.scatterAdd(x, rows(x), x, 0)), 16],
];

/** What is written when nothing looks at the nodes. */
function stamped(graph: Graph, version: number): Uint8Array {
  const proto = toModelProto(graph);
  return encodeModel({ ...proto, opsetImport: [{ domain: '', version }] });
}

describe('opsets: a file has only numbers under which its nodes are read as they are meant', function () {
  this.timeout(120_000);

  for (const [name, graph, first] of newer) {
    const proof = name === 'Softmax' ? '' : ', and are no model for ONNX Runtime';
    it(`${name} is of opset ${first}: older ones are refused${proof}`, async () => {
      expect(oldestOpset(graph)).to.equal(first);
      expect(() => toOnnx(graph, { opset: first - 1 }))
        .to.throw(`expected an opset in ${first}..21, got ${first - 1}; ${name} is written as opset ${first} has it`)
        .with.property('code', 'bad-argument');
      for (let opset = first; opset <= newestOpset; opset++) await load(toOnnx(graph, { opset }));
      // Softmax has had its axis from the beginning, for something else.
      if (proof === '') return;
      const error = await load(stamped(graph, first - 1)).catch((reason: FettleError) => reason);
      expect((error as FettleError).code).to.equal('bad-model');
    });
  }

  it('every operator with its derivative opens at every opset that is allowed', async () => {
    let opened = 0;
    for (const sample of Object.values(samples).flatMap((some) => (some === 'none' ? [] : some.slice(0, 2)))) {
      const graph = new Graph('sample');
      const inputs = sample.shapes.map((shape, i) => graph.input(`x${i}`, 'float32', shape));
      const y = sample.build(...inputs);
      const wanted = inputs.slice(0, sample.wrt ?? inputs.length);
      const grads = backward(o.reduceSum(o.mul(y, y)), wanted);
      wanted.forEach((input, i) => {
        graph.output(`d${i}`, grads.get(input)!);
      });
      for (let opset = oldestOpset(graph); opset <= newestOpset; opset++) {
        await load(toOnnx(graph, { opset }));
        opened++;
      }
    }
    expect(opened).to.be.above(300);
  });

  it('a body of a loop counts', () => {
    const graph = new Graph('outer');
    const body = graph.body('inner');
    body.output('z', o.reduceMax(body.input('v', 'float32', [3]), { axes: [0] }));
    graph.addNode('Scan', [graph.input('x', 'float32', [2, 3])], [{ dtype: 'float32', shape: [2] }], {
      body: { kind: 'graph', value: body },
    });
    expect(oldestOpset(graph)).to.equal(18);
  });

  it('numbers that are not valid, too large or not whole are refused', () => {
    const graph = graphOf(o.relu);
    for (const opset of [22, 99, 18.5, Number.NaN, 11, -1])
      expect(() => toOnnx(graph, { opset }), String(opset))
        .to.throw(`expected an opset in 12..21, got ${opset}`)
        .with.property('code', 'bad-argument');
  });

  for (const [name, { task, batch }, opsets] of [
    ['mlp', mlp, [18, 19, 20, 21]],
    ['lesson CNN', lessonCnn, [18, 21]],
  ] as const) {
    it(`artifacts at 18 to 21 train on ONNX Runtime's own training: ${name}`, async () => {
      const losses: number[] = [];
      for (const opset of opsets) {
        const theirs = await ortTrainer(ortArtifacts(task, { weights: weightsOf(startState(task)), opset, lr: 1e-3 }));
        await theirs.train(batch(1));
        await theirs.update();
        losses.push(Number((await theirs.train(batch(1))).loss!.data[0]));
        await theirs.evaluate(batch(1));
        theirs.release();
      }
      expect(losses).to.have.length(opsets.length);
      for (const loss of losses) expect(loss).to.be.closeTo(losses[0]!, 1e-5);
    });
  }
});
