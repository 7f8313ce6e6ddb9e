import { expect } from 'chai';
import { type BackboneName, backbones } from '../../../models/backbones.ts';
import { resnet, resnetConfigs } from '../../../models/resnet.ts';
import { vgg, vggConfigs } from '../../../models/vgg.ts';
import { staticShape } from '../../../training/core/shape.ts';
import { sizeOf } from '../../../training/core/tensor.ts';
import { splitByPrefix } from '../../../training/learner/groups.ts';
import { createScope, initialWeights, type Scope } from '../../../training/nn/scope.ts';
import { Graph, type Value } from '../../../training/onnx/graph.ts';

/** The scope after `build` of an input [2,channels,...size]. */
function built(build: (scope: Scope, x: Value) => unknown, size = [64, 64], channels = 3): Scope {
  const scope = createScope(new Graph('net'), { training: true });
  build(scope, scope.graph.input('x', 'float32', [2, channels, ...size]));
  return scope;
}

const paramsOf = (scope: Scope): number =>
  scope.specs.filter(({ kind }) => kind === 'param').reduce((sum, { shape }) => sum + sizeOf(shape), 0);

/** torchvision's. */
const counts: Readonly<Record<BackboneName, number>> = {
  resnet18: 11_689_512,
  resnet34: 21_797_672,
  resnet50: 25_557_032,
  vgg16_bn: 138_365_992,
  densenet121: 7_978_856,
};

describe('ResNet, VGG and DenseNet', () => {
  for (const [name, { classify, encoder }] of Object.entries(backbones)) {
    it(`${name} has torchvision's number of parameters, whatever the size of the picture`, () => {
      const expected = counts[name as BackboneName];
      expect(paramsOf(built(classify, [224, 224]))).to.equal(expected);
      expect(paramsOf(built(classify, [97, 130]))).to.equal(expected);
    });

    it(`${name}: another number of classes and of channels changes the last and the first layer only`, () => {
      const sizes = (scope: Scope) => new Map(scope.specs.map((spec) => [spec.name, String(spec.shape)]));
      const [plain, other] = [
        sizes(built(classify)),
        sizes(built((s, x) => classify(s, x, { classes: 7 }), [64, 64], 4)),
      ];
      expect([...other.keys()]).to.deep.equal([...plain.keys()]);
      const changed = [...plain.keys()].filter((one) => plain.get(one) !== other.get(one));
      const names = [...plain.keys()];
      expect(changed).to.deep.equal([names[0], ...names.slice(-2)]);
      expect(other.get(names[0]!)!.split(',')[1]).to.equal('4');
      expect(other.get(names.at(-1)!)).to.equal('7');
    });

    it(`${name}: the encoder gives the maps that its stages list`, () => {
      let shapes: (readonly number[])[] = [];
      const scope = built(
        (s, x) => {
          shapes = encoder.features(s, x).map((map) => staticShape(map.shape, 'test'));
        },
        [64, 96],
      );
      expect(shapes).to.deep.equal(
        encoder.stages.map(({ channels, reduction }) => [2, channels, 64 / reduction, 96 / reduction]),
      );
      const all = built(classify).specs.map((spec) => spec.name);
      const own = scope.specs.map((spec) => spec.name);
      expect(own).to.deep.equal(all.slice(0, own.length));
      const head = all.slice(own.length);
      expect(head.every((one) => /^(fc|classifier)\./.test(one))).to.equal(true);
      const group = splitByPrefix(...encoder.groups);
      expect(new Set(own.map(group))).to.deep.equal(new Set([0, 1]));
      expect(new Set(head.map(group))).to.deep.equal(new Set([2]));
      expect(own.map(group)).to.deep.equal(own.map(group).sort());
    });
  }

  it('the stages of VGG-16 are the ReLUs that a feature loss takes: 22, 32, 42', () => {
    const names = backbones.vgg16_bn.encoder.stages.map(({ name }) => name);
    expect(names).to.deep.equal([
      'features.5',
      'features.12',
      'features.22',
      'features.32',
      'features.42',
      'features.43',
    ]);
    expect(backbones.vgg16_bn.encoder.groups[0]).to.include('features.21').and.not.to.include('features.24');
  });

  it("starts as torchvision's: fan-out normal convolutions, uniform ±1/√features in the ResNet's head, normal 0.01 in VGG's", () => {
    const tiny = built((s, x) => resnet(s, x, { ...resnetConfigs.resnet18, width: 16, classes: 50 }));
    const weights = initialWeights(tiny.specs, 3);
    const std = (name: string): number => {
      const values = weights.get(name)!;
      return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    };
    expect(std('layer2.0.conv1.weight')).to.be.closeTo(Math.sqrt(2 / (32 * 9)), 2e-3);
    expect(std('layer2.0.downsample.0.weight')).to.be.closeTo(Math.sqrt(2 / 32), 0.03);
    expect(std('layer4.1.bn2.weight')).to.equal(1);
    for (const name of ['fc.weight', 'fc.bias']) {
      const largest = Math.max(...weights.get(name)!.map(Math.abs));
      expect(largest, name).to.be.within(0.9 / Math.sqrt(128), 1 / Math.sqrt(128));
    }
    const zero = built((s, x) => resnet(s, x, { ...resnetConfigs.resnet18, width: 4, zeroLast: true }));
    const last = initialWeights(zero.specs, 3);
    expect([...last.get('layer3.1.bn2.weight')!].every((value) => value === 0)).to.equal(true);
    expect([...last.get('layer3.1.bn1.weight')!].every((value) => value === 1)).to.equal(true);
    const small = { ...vggConfigs.vgg16_bn, blocks: [[8], [8], [16]], hidden: 64, classes: 5 };
    const linear = initialWeights(built((s, x) => vgg(s, x, small)).specs, 3).get('classifier.0.weight')!;
    const spread = Math.sqrt(linear.reduce((sum, value) => sum + value * value, 0) / linear.length);
    expect(spread).to.be.closeTo(0.01, 2e-4);
  });
});
