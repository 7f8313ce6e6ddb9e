import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { type MnistNet, mnistNets } from '../../../models/mnist.ts';
import { sizeOf } from '../../../training/core/tensor.ts';
import { createScope, initialWeights } from '../../../training/nn/scope.ts';
import { Graph } from '../../../training/onnx/graph.ts';

/** The net's parameters, and the shape that comes out of it. */
function build(net: MnistNet) {
  const graph = new Graph(net);
  const scope = createScope(graph, { training: false });
  const scores = mnistNets[net](scope, graph.input('x', 'float32', [5, 1, 28, 28]));
  return { scope, shape: scores.shape };
}

describe('the nets of the MNIST lesson', () => {
  const published: Readonly<Record<MnistNet, number>> = { basic: 12_126, conv: 12_044, resnet: 41_132, dense: 52_940 };
  for (const [net, expected] of Object.entries(published) as [MnistNet, number][]) {
    it(`${net}: ${expected} parameters, ten scores`, () => {
      const { scope, shape } = build(net);
      const params = scope.specs.filter(({ kind }) => kind === 'param');
      expect(params.reduce((sum, { shape: dims }) => sum + sizeOf(dims), 0)).to.equal(expected);
      expect(shape).to.deep.equal([5, 10]);
    });
  }

  it('names and first weights are those of the published runs', () => {
    const known: Readonly<Record<MnistNet, string>> = {
      basic: '11796c898b82e5c33bf5cc5833524349245d872789605270bb2d81bc6322a733',
      conv: 'e224391e734836c21d2a24ff19ffa1db983aed91b9aece9286ee75169e92403f',
      resnet: 'ed69fae8e4f90ecfe652e8fa3a2e5c70a891ebda45640c63495d84657000400d',
      dense: '301f733fde06fd153f49988afb1443b056cda1eac7d211a9cb0fe50e1f8960b3',
    };
    for (const [net, expected] of Object.entries(known) as [MnistNet, string][]) {
      const hash = createHash('sha256');
      for (const [name, { buffer, byteOffset, byteLength }] of initialWeights(build(net).scope.specs, 1))
        hash.update(name).update(new Uint8Array(buffer, byteOffset, byteLength));
      expect(hash.digest('hex'), net).to.equal(expected);
    }
  });

  it('the second norm of a residual block starts at zero, other norms at one with a bias of 0.001', () => {
    const first = (name: string): number => {
      const spec = build('resnet').scope.specs.find((one) => one.name === name)!;
      return spec.init(spec.shape, 1, new Map())[0]!;
    };
    expect(first('res2.layer2.bn.weight')).to.equal(0);
    expect(first('res2.layer1.bn.weight')).to.equal(1);
    expect(first('layer1.bn.bias')).to.be.closeTo(1e-3, 1e-9);
  });
});
