import { expect } from 'chai';
import { backbones } from '../../../models/backbones.ts';
import { type DynamicUnetConfig, dynamicUnet, unetGroups } from '../../../models/dynamic-unet.ts';
import type { Encoder } from '../../../models/encoder.ts';
import { smallEncoder } from '../../../models/small-encoder.ts';
import { sizeOf } from '../../../training/core/tensor.ts';
import { normTest, splitByPrefix } from '../../../training/learner/groups.ts';
import { summarise } from '../../../training/learner/summary.ts';
import { createScope, initialWeights, type Scope } from '../../../training/nn/scope.ts';
import { Graph, type Value } from '../../../training/onnx/graph.ts';

interface Built {
  readonly scope: Scope;
  readonly y: Value;
}

function built(
  encoder: Encoder,
  config: DynamicUnetConfig,
  size: readonly number[] = [64, 64],
  training = true,
): Built {
  const scope = createScope(new Graph('unet'), { training });
  const y = dynamicUnet(scope, scope.graph.input('x', 'float32', [1, 3, ...size]), encoder, config);
  return { scope, y };
}

const names = ({ scope }: Built): string[] => scope.specs.map(({ name }) => name);
const small = smallEncoder({ widths: [4, 6, 8, 10], depths: [1, 1, 1, 1] });

describe('DynamicUnet', () => {
  // fastai v1.0.61, unet_learner(data, models.resnet34, bottle=True).summary() on CamVid at 360 x 480.
  const lesson = { classes: 12, bottle: true };

  it("has the lesson's parameters on ResNet-34, all and frozen", () => {
    const { encoder } = backbones.resnet34;
    const { scope, y } = built(encoder, lesson, [360, 480], false);
    expect(y.shape).to.deep.equal([1, 12, 360, 480]);
    const splitter = splitByPrefix(...unetGroups(encoder));
    const isNorm = normTest(scope.specs);
    const all = summarise(scope);
    const frozen = summarise(scope, (name) => splitter(name) === 2 || isNorm(name));
    expect(all.params).to.equal(41_133_018);
    expect(all.trainableParams).to.equal(41_133_018);
    expect(frozen.trainableParams).to.equal(19_865_370);
    expect(frozen.params - frozen.trainableParams).to.equal(21_267_648);
  });

  for (const [name, { encoder }] of [...Object.entries(backbones), ['small', { encoder: small }] as const]) {
    it(`${name}: gives the size of the picture, also an odd one`, () => {
      for (const size of [
        [64, 96],
        [97, 75],
        [66, 101],
      ])
        expect(built(encoder, { classes: 5 }, size).y.shape, String(size)).to.deep.equal([1, 5, ...size]);
    });

    it(`${name}: a block for every size but the deepest, channels as fastai counts them`, () => {
      const { scope } = built(encoder, { classes: 5 });
      const widths = encoder.stages.map(({ channels }) => channels);
      let up = widths.at(-1)!;
      const skips = widths.slice(0, -1).reverse();
      for (const [i, skip] of skips.entries()) {
        const joined = Math.floor(up / 2) + skip;
        const filters = i === skips.length - 1 ? Math.floor(joined / 2) : joined;
        const spec = scope.specs.find((one) => one.name === `decoder.${i}.conv1.conv.weight`)!;
        expect(spec.shape, `block ${i}`).to.deep.equal([filters, joined, 3, 3]);
        up = filters;
      }
      expect(scope.specs.some((one) => one.name.startsWith(`decoder.${skips.length}.`))).to.equal(false);
    });
  }

  it('shuffles up to full size only where the first map is not full already', () => {
    expect(names(built(backbones.resnet18.encoder, { classes: 2 }))).to.include('last.shuf.conv.weight');
    expect(names(built(backbones.vgg16_bn.encoder, { classes: 2 }))).not.to.include('last.shuf.conv.weight');
  });

  it('attends behind the third block from the end', () => {
    const found = names(built(small, { classes: 2, selfAttention: true })).filter((name) => name.endsWith('gamma'));
    expect(found).to.deep.equal(['decoder.0.attention.gamma']);
    const four = names(built(backbones.resnet18.encoder, { classes: 2, selfAttention: true }));
    expect(four.filter((name) => name.endsWith('gamma'))).to.deep.equal(['decoder.1.attention.gamma']);
    expect(four).to.include('decoder.1.attention.query.weight_orig');
  });

  it('blurs where it is asked to', () => {
    const blurs = (config: Partial<DynamicUnetConfig>): number =>
      built(small, { classes: 2, ...config }).scope.graph.nodes.filter(({ op }) => op === 'AveragePool').length;
    expect([blurs({}), blurs({ blur: true }), blurs({ blur: true, blurFinal: false })]).to.deep.equal([0, 3, 2]);
  });

  it('norms the decoder and leaves the encoder as it is', () => {
    const tails = { none: 'weight', weight: 'weight_g', spectral: 'weight_orig', batch: 'weight' } as const;
    for (const [norm, tail] of Object.entries(tails)) {
      const own = names(built(small, { classes: 2, norm: norm as keyof typeof tails }));
      expect(own, norm).to.include.members([
        `decoder.1.conv1.conv.${tail}`,
        `decoder.1.shuf.conv.${tail}`,
        `middle.0.conv.${tail}`,
        `head.conv.${tail}`,
        'encoder.stage0.conv.weight',
      ]);
      expect(own.includes('decoder.1.conv1.norm.running_mean'), norm).to.equal(norm === 'batch');
      expect(own.includes('decoder.1.conv1.conv.bias'), norm).to.equal(norm !== 'batch');
    }
  });

  it('without last_cross the picture is not joined and there is no residual block', () => {
    const own = names(built(small, { classes: 2, lastCross: false }));
    expect(own.filter((name) => name.startsWith('last.cross'))).to.deep.equal([]);
    const { scope } = built(small, { classes: 2 });
    const bottled = built(small, { classes: 2, bottle: true }).scope;
    const shape = (of: Scope, name: string) => of.specs.find((one) => one.name === name)!.shape;
    expect(shape(scope, 'last.cross.conv1.weight')).to.deep.equal([8, 8, 3, 3]);
    expect(shape(bottled, 'last.cross.conv1.weight')).to.deep.equal([4, 8, 3, 3]);
  });

  it('starts its pixel shuffles without a checkerboard', () => {
    const { specs } = built(small, { classes: 2 }).scope;
    const spec = specs.find(({ name }) => name === 'decoder.0.shuf.conv.weight')!;
    const weights = initialWeights(specs, 3).get(spec.name)!;
    const length = sizeOf(spec.shape.slice(1));
    const filter = (i: number): number[] => [...weights.subarray(i * length, (i + 1) * length)];
    expect(filter(1)).to.deep.equal(filter(0));
    expect(filter(3)).to.deep.equal(filter(0));
    expect(filter(4)).not.to.deep.equal(filter(0));
  });

  it('refuses an encoder of one size', () => {
    expect(() => built(smallEncoder({ widths: [4], depths: [1] }), { classes: 2 })).to.throw(
      /at least two sizes, got 1/,
    );
  });
});
