import { expect } from 'chai';
import {
  type AwdLstmConfig,
  awdLstm,
  awdLstmDefaults,
  awdLstmPenalty,
  awdLstmSizes,
  carriedStates,
} from '../../../models/awd-lstm.ts';
import { sizeOf } from '../../../training/core/tensor.ts';
import { createScope } from '../../../training/nn/scope.ts';
import { Graph } from '../../../training/onnx/graph.ts';

/** The language model over words int32[N,T], its states kept from batch to batch. */
function build(config: AwdLstmConfig, [n, t]: readonly [number, number], training = true) {
  const graph = new Graph('awd');
  const scope = createScope(graph, { training, loops: 'scan' });
  const carried = carriedStates(scope, n, config);
  const net = awdLstm(scope, graph.input('words', 'int32', [n, t]), config, carried.states);
  carried.keep(net.states);
  return { graph, scope, net };
}

const config: AwdLstmConfig = { ...awdLstmDefaults, words: 10_000 };

describe('AWD-LSTM', () => {
  it("has fastai's sizes: 400, 1152, 1152, 400, and 24 283 280 parameters for 10 000 words", () => {
    const { scope, net } = build(config, [2, 3]);
    const params = scope.specs.filter(({ kind }) => kind === 'param');
    expect(params.reduce((sum, { shape }) => sum + sizeOf(shape), 0)).to.equal(24_283_280);
    expect(awdLstmSizes(config)).to.deep.equal([1152, 1152, 400]);
    expect(net.scores.shape).to.deep.equal([2, 3, 10_000]);
    expect(net.raw.shape).to.deep.equal([2, 3, 400]);
  });

  it('ties the decoder to the embedding: one weight, and a bias of its own', () => {
    const { scope } = build(config, [2, 3]);
    const names = scope.specs.map(({ name }) => name);
    expect(names.filter((name) => /^(en|de)coder/.test(name))).to.have.members(['encoder.weight', 'decoder.bias']);
  });

  it('keeps hidden and cell of every LSTM as a buffer', () => {
    const { scope } = build(config, [2, 3]);
    const buffers = scope.specs.filter(({ kind }) => kind === 'buffer').map(({ name }) => name);
    expect(buffers).to.have.length(6);
    expect([...scope.updates.keys()]).to.have.members(buffers);
  });

  it('draws random numbers in training only, and with a dropMult of 0 not even there', () => {
    const draws = (one: AwdLstmConfig, training: boolean): boolean =>
      build(one, [2, 3], training).graph.inputs.some(({ name }) => name === 'random.seed');
    expect(draws(config, true)).to.equal(true);
    expect(draws(config, false)).to.equal(false);
    expect(draws({ ...config, dropMult: 0 }, true)).to.equal(false);
  });

  it('adds the penalty on changes only where there is a step before', () => {
    const penalty = (t: number): number => {
      const { graph, net } = build(config, [2, t]);
      const before = graph.nodes.length;
      awdLstmPenalty(net);
      return graph.nodes.slice(before).filter(({ op }) => op === 'Slice').length;
    };
    expect(penalty(1)).to.equal(0);
    expect(penalty(3)).to.equal(2);
  });
});
