import { expect } from 'chai';
import { FettleError } from '../../../training/core/errors.ts';
import { knownKeys, namesOf, nearestName } from '../../../training/core/known-keys.ts';
import * as nn from '../../../training/nn/layers.ts';
import { createScope, type Scope } from '../../../training/nn/scope.ts';
import { Graph, type Value } from '../../../training/onnx/graph.ts';

interface Options {
  readonly lr: number;
  readonly pctStart?: number;
}
const names = namesOf<Options>({ lr: true, pctStart: true });

type Layer = (scope: Scope, x: Value) => unknown;
/** Options as JavaScript passes them, unseen by a compiler. */
const unseen = <T>(options: object): T => options as T;

describe('names of options', () => {
  it('an unknown name is an error that says the nearest known one', () => {
    const mistyped = { lr: 1, pct_start: 0.3 };
    expect(() => knownKeys('fit', mistyped, names)).to.throw(
      FettleError,
      'fit: expected options of the names lr, pctStart, got pct_start; did you mean pctStart?',
    );
    expect(() => knownKeys('fit', { momentum: 1 }, names)).to.throw('got momentum; omit it');
    expect(() => knownKeys('fit', { lr: 1, pctStart: 0.2 }, names)).not.to.throw();
    expect(() => knownKeys('fit', {}, [])).not.to.throw();
  });

  it('options that are no object are named', () => {
    for (const [options, said] of [
      [0.1, '0.1'],
      [null, 'null'],
      [[1], 'a list'],
      ['x', 'x'],
    ] as const)
      expect(() => knownKeys('fit', options as unknown as object, names)).to.throw(
        FettleError,
        `fit: expected an object of options, got ${said}; there are lr, pctStart`,
      );
  });

  it('swapped, missing, superfluous and other letters are forgiven, other words are not', () => {
    const events = ['beforeEpoch', 'afterEpoch', 'afterBatch'];
    expect(nearestName('afterEpcoh', events)).to.equal('afterEpoch');
    expect(nearestName('after_batch', events)).to.equal('afterBatch');
    expect(nearestName('optimiser', ['options', 'optimizer'])).to.equal('optimizer');
    expect(nearestName('metric', ['metrics', 'mode'])).to.equal('metrics');
    expect(nearestName('beta_2', ['beta1', 'beta2'])).to.equal('beta2');
    expect(nearestName('seed', ['wd', 'lr'])).to.equal(undefined);
    expect(nearestName('seed', [])).to.equal(undefined);
  });

  const layers: Readonly<Record<string, readonly [Layer, string]>> = {
    conv2d: [(s, x) => nn.conv2d(s, x, unseen({ filters: 2, kernal: 3 })), 'kernel'],
    convBlock: [(s, x) => nn.convBlock(s, x, unseen({ filters: 2, kernal: 3 })), 'kernel'],
    convTranspose2d: [(s, x) => nn.convTranspose2d(s, x, unseen({ filters: 2, strides: 2 })), 'stride'],
    pixelShuffleIcnr: [(s, x) => nn.pixelShuffleIcnr(s, x, unseen({ filters: 2, factors: 2 })), 'factor'],
    resBlock: [(s, x) => nn.resBlock(s, x, unseen({ densed: true })), 'dense'],
    'residual block': [(s, x) => nn.basicBlock(s, x, unseen({ filters: 2, zero_last: true })), 'zeroLast'],
    denseBlock: [(s, x) => nn.denseBlock(s, x, unseen({ layers: 1, growht: 2 })), 'growth'],
    embedding: [(s, x) => nn.embedding(s, x, unseen({ rows: 2, widht: 3 })), 'width'],
    linear: [(s, x) => nn.linear(s, x, 3, unseen({ bais: false })), 'bias'],
    batchNorm: [(s, x) => nn.batchNorm(s, x, unseen({ momentums: 0.1 })), 'momentum'],
    layerNorm: [(s, x) => nn.layerNorm(s, x, unseen({ axis: 1 })), 'axes'],
    groupNorm: [(s, x) => nn.groupNorm(s, x, 1, unseen({ afine: false })), 'affine'],
    instanceNorm: [(s, x) => nn.instanceNorm(s, x, unseen({ afine: false })), 'affine'],
    'recurrent layer': [(s, x) => nn.lstm(s, x, unseen({ hiden: 2 })), 'hidden'],
  };
  for (const [where, [layer, meant]] of Object.entries(layers))
    it(`${where} knows its own`, () => {
      const graph = new Graph('names');
      const x = graph.input('x', 'float32', [1, 2, 4, 4]);
      expect(() => layer(createScope(graph, { training: true }), x)).to.throw(
        FettleError,
        new RegExp(`^${where}: .*did you mean ${meant}\\?$`),
      );
    });
});
