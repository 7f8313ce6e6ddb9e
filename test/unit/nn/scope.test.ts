import { expect } from 'chai';
import { anyDim, symDim } from '../../../training/core/shape.ts';
import { zerosInit } from '../../../training/nn/init.ts';
import * as nn from '../../../training/nn/layers.ts';
import { createScope, initialWeights, type Scope, type Weights } from '../../../training/nn/scope.ts';
import { Graph, type Value } from '../../../training/onnx/graph.ts';

/** The scope after `build`, and its number of parameters. */
function built(build: (scope: Scope, x: Value) => unknown): { scope: Scope; params: number } {
  const graph = new Graph('test');
  const scope = createScope(graph, { training: true });
  build(scope, graph.input('x', 'float32', [2, 8]));
  const sizes = scope.specs.map(({ shape }) => shape.reduce((a, b) => a * b, 1));
  return { scope, params: sizes.reduce((a, b) => a + b, 0) };
}

describe('names of parameters', () => {
  it('layers in scopes of their own have parameters of their own', () => {
    const two = built((scope, x) => {
      const h = scope.in('first', (s) => nn.linear(s, x, 8));
      return scope.in('second', (s) => nn.linear(s, h, 8));
    });
    expect(two.params).to.equal(144);
  });

  it('a name that is asked for twice is an error that names scope and parameter', () => {
    expect(() => built((scope, x) => nn.linear(scope, nn.linear(scope, x, 8), 8))).to.throw(
      "the model's scope: expected a new name, got weight as a parameter [8,8] and as a parameter [8,8]; name each layer, scope.in('first', (s) => layer(s, x)), or share its parameters, scope.share('first', ...)",
    );
    const inner = (scope: Scope, x: Value) =>
      scope.in('head', (s) => [
        nn.linear(s, x, 4),
        s.in('norm', (n) => n.param('a', [1], zerosInit)),
        nn.batchNorm(s, x),
      ]);
    expect(() => built(inner)).to.throw('scope head: expected a new name, got weight as a parameter [8] and as a par');
    const kinds = (scope: Scope) => [scope.param('a', [1], zerosInit), scope.buffer('a', [1], zerosInit)];
    expect(() => built(kinds)).to.throw('got a as a buffer [1] and as a parameter [1]');
  });

  it('share uses what is there, of the same shape only', () => {
    const tied = built((scope, x) => {
      const layer = (y: Value): Value => scope.share('tied', (s) => s.in('inner', (i) => nn.linear(i, y, 8)));
      return layer(layer(x));
    });
    expect(tied.params).to.equal(72);
    const unlike = (scope: Scope, x: Value) => [8, 4].map((size) => scope.share('tied', (s) => nn.linear(s, x, size)));
    expect(() => built(unlike)).to.throw(
      'scope tied: expected the same shape and kind for a name that is shared, got weight as a parameter [4,8] and as a parameter [8,8]',
    );
  });

  it('an exported graph has the same rules', () => {
    const layer = (s: Scope, x: Value): Value =>
      nn.conv2d(s, x, { filters: 3, kernel: 1, bias: false, weightNorm: true });
    const convs = (scope: Scope, x: Value): Value => {
      const y = scope.share('conv', (s) => layer(s, x));
      return scope.share('conv', (s) => layer(s, y));
    };
    const graphOf = (build: typeof convs, weights?: Weights): Graph => {
      const graph = new Graph('conv');
      const scope = createScope(graph, { training: false, ...(weights && { weights }) });
      build(scope, graph.input('x', 'float32', [1, 3, 4, 4]));
      return graph;
    };
    const { scope } = built((s) => convs(s, s.graph.input('picture', 'float32', [1, 3, 4, 4])));
    const weights = initialWeights(scope.specs, 1);
    const [first, second] = graphOf(convs, weights).nodes.filter(({ op }) => op === 'Conv');
    expect(first!.inputs[1]!.name).to.equal('conv.weight');
    expect(second!.inputs[1]).to.equal(first!.inputs[1]);
    const clash = (s: Scope, x: Value): Value => s.in('conv', (own) => layer(own, layer(own, x)));
    expect(() => graphOf(clash, weights)).to.throw('scope conv: expected a new name, got weight');
  });
});

describe('flatten', () => {
  it('keeps a symbolic batch', () => {
    const graph = new Graph('flat');
    const n = symDim('N');
    expect(nn.flatten(graph.input('x', 'float32', [n, 3, 2])).shape).to.deep.equal([n, 6]);
    expect(nn.flatten(graph.input('y', 'float32', [5, 3, 2])).shape).to.deep.equal([5, 6]);
    const flat = graph.input('z', 'float32', [n, 3]);
    expect(nn.flatten(flat)).to.equal(flat);
    expect(() => nn.flatten(graph.input('w', 'float32', [n, anyDim('W')]))).to.throw('expected a fixed shape');
  });
});
