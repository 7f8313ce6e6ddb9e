import { expect } from 'chai';
import { humanNumbersModels, humanNumbersWords, scoresLastWord } from '../../../models/human-numbers.ts';
import { ladder } from '../../../scripts/results/human-numbers.ts';
import { sizeOf } from '../../../training/core/tensor.ts';
import { createScope } from '../../../training/nn/scope.ts';
import { Graph } from '../../../training/onnx/graph.ts';
import { humanNumbers } from '../../../training/text/human-numbers.ts';
import { textWindows } from '../../../training/text/windows.ts';

/** Model`index` over x i32[64,T]. */
function build(index: number, length = 3) {
  const graph = new Graph('ladder');
  const scope = createScope(graph, { training: true });
  const scores = humanNumbersModels[index]!(scope, graph.input('x', 'int32', [64, length]));
  return { scope, shape: scores.shape };
}

describe('the nets of the human-numbers lesson', () => {
  const published = [9_190, 9_190, 9_190, 9_190, 13_350, 54_950];
  for (const [index, expected] of published.entries()) {
    it(`Model${index}: ${expected} parameters`, () => {
      const { scope, shape } = build(index);
      const params = scope.specs.filter(({ kind }) => kind === 'param');
      expect(params.reduce((sum, { shape: dims }) => sum + sizeOf(dims), 0)).to.equal(expected);
      expect(shape).to.deep.equal(scoresLastWord(index) ? [64, 38] : [64, 3, 38]);
    });
  }

  it('only the last three carry a state, the GRU one for each of its layers', () => {
    const states = published.map((_, index) => build(index).scope.specs.find(({ name }) => name === 'h')?.shape);
    expect(states).to.deep.equal([undefined, undefined, undefined, [64, 64], [1, 64, 64], [2, 64, 64]]);
    for (const index of [3, 4, 5]) expect([...build(index).scope.updates.keys()]).to.include('h');
  });

  it('Model0 takes fewer than three words, with the same parameters', () => {
    expect(build(0, 1).shape).to.deep.equal([64, 38]);
    expect(build(0, 2).scope.specs.length).to.equal(build(0).scope.specs.length);
  });

  it("the lesson's text has the vocabulary that the nets expect, and its validation pass 12 928 targets", () => {
    const { vocab, valid } = humanNumbers();
    expect(vocab.length).to.equal(humanNumbersWords);
    for (const { bptt } of ladder) {
      expect(textWindows({ tokens: valid, batchSize: 64, bptt }).targets).to.equal(12_928);
    }
  });
});
