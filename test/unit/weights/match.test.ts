import { expect } from 'chai';
import { resnet, resnetConfigs } from '../../../models/resnet.ts';
import { FettleError } from '../../../training/core/errors.ts';
import { f32, i64, sizeOf, type Tensor } from '../../../training/core/tensor.ts';
import { zerosInit } from '../../../training/nn/init.ts';
import * as nn from '../../../training/nn/layers.ts';
import { createScope, initialWeights, type ParamSpec } from '../../../training/nn/scope.ts';
import { Graph } from '../../../training/onnx/graph.ts';
import { adamw } from '../../../training/optim/optimizers.ts';
import { createState, initState } from '../../../training/step/state.ts';
import { loadWeights } from '../../../training/weights/load.ts';
import { adaptChannels, formatWeightReport, matchWeights, type WeightRules } from '../../../training/weights/match.ts';
import type { WeightFile } from '../../../training/weights/read.ts';

const spec = (name: string, shape: readonly number[], kind: 'param' | 'buffer' = 'param'): ParamSpec => ({
  name,
  shape,
  kind,
  init: zerosInit,
  decay: false,
});

const fileOf = (tensors: Readonly<Record<string, Tensor>>): WeightFile => ({
  name: 'net.pth',
  format: 'torch',
  tensors: new Map(Object.entries(tensors)),
});

/** A tensor with the values start, start + 1, ... */
const counting = (dims: readonly number[], start = 0): Tensor<'float32'> =>
  f32(
    dims,
    Array.from({ length: sizeOf(dims) }, (_, i) => start + i),
  );

function refusal(run: () => unknown): FettleError {
  try {
    run();
  } catch (error) {
    if (error instanceof FettleError) return error;
    throw error;
  }
  return expect.fail('expected an error');
}

const model = [spec('stem.weight', [2, 3, 1, 1]), spec('bn.running_mean', [2], 'buffer'), spec('fc.weight', [4, 2])];
const same = fileOf({
  'stem.weight': counting([2, 3, 1, 1]),
  'bn.running_mean': counting([2], 10),
  'bn.num_batches_tracked': i64([], [7]),
  'fc.weight': counting([4, 2], 20),
});

describe('weights by name', () => {
  it('all names and shapes alike: everything is taken, counters are ignored', () => {
    const { values, report } = matchWeights(model, same);
    expect(report).to.deep.equal({
      file: 'net.pth',
      matched: ['stem.weight', 'bn.running_mean', 'fc.weight'],
      adapted: [],
      mismatched: [],
      missing: [],
      unused: [],
      notFinite: [],
      ignored: ['bn.num_batches_tracked'],
    });
    expect([...values.get('bn.running_mean')!]).to.deep.equal([10, 11]);
    expect(formatWeightReport(report)).to.equal(
      "net.pth: 3 of the model's 3 tensors taken\n  ignored                     1  bn.num_batches_tracked",
    );
  });

  const other = fileOf({
    'stem.weight': counting([2, 3, 1, 1]),
    'fc.weight': counting([9, 2]),
    'aux.bias': f32([1], [0]),
  });

  it('strict: what differs is named, and nothing is changed', () => {
    const { code, message } = refusal(() => matchWeights(model, other));
    expect(code).to.equal('bad-checkpoint');
    expect(message).to.equal(
      'net.pth: expected the weights of this model, got others (another shape: fc.weight [9,2] for [4,2]; not in the file: bn.running_mean; only in the file: aux.bias); load what fits with strict: false',
    );
    const state = createState(model, { optimizer: adamw });
    refusal(() => loadWeights(state, other));
    expect(state.params.every((value) => value === 0)).to.equal(true);
  });

  it('strict: false takes what fits, keeps the rest and reports both', () => {
    const state = createState(model, { optimizer: adamw });
    for (const { data } of state.tensors.values()) data.fill(-1);
    const report = loadWeights(state, other, { strict: false });
    expect(report).to.deep.include({
      matched: ['stem.weight'],
      mismatched: [{ name: 'fc.weight', file: [9, 2], model: [4, 2] }],
      missing: ['bn.running_mean'],
      unused: ['aux.bias'],
    });
    expect([...state.tensors.get('stem.weight')!.data]).to.deep.equal([0, 1, 2, 3, 4, 5]);
    expect([...state.tensors.get('fc.weight')!.data, ...state.buffers].every((value) => value === -1)).to.equal(true);
    expect(formatWeightReport(report).split('\n')).to.deep.equal([
      "net.pth: 1 of the model's 3 tensors taken",
      '  another shape, kept         1  fc.weight [9,2] for [4,2]',
      '  not in the file, kept       1  bn.running_mean',
      '  only in the file            1  aux.bias',
    ]);
  });

  it('nothing in common is an error even then', () => {
    const { message } = refusal(() => matchWeights([spec('a', [1])], fileOf({ b: f32([1], [0]) }), { strict: false }));
    expect(message).to.match(/got none of its names.*not in the file: a; only in the file: b.*prefix and rename/);
  });

  it('prefix and rename lead names to their places', () => {
    const inner = model.map((one) => ({ ...one, name: `encoder.${one.name}` }));
    expect(matchWeights(inner, same, { prefix: 'encoder.' }).report.matched).to.have.length(3);
    const parallel: WeightFile = {
      ...same,
      tensors: new Map([...same.tensors].map(([name, tensor]) => [`module.${name}`, tensor])),
    };
    const rules: WeightRules = {
      prefix: 'encoder.',
      rename: (name) => (name === 'module.fc.weight' ? undefined : name.replace('module.', '')),
    };
    const { report, values } = matchWeights(inner.slice(0, 2), parallel, rules);
    expect(report.ignored).to.deep.equal(['module.bn.num_batches_tracked', 'module.fc.weight']);
    expect([...values.get('encoder.bn.running_mean')!]).to.deep.equal([10, 11]);
    const clash = refusal(() => matchWeights(model, same, { rename: () => 'fc.weight' }));
    expect(clash.message).to.match(/got fc\.weight for stem\.weight and bn\.running_mean/);
  });

  it('rules that there are not are refused, and what was meant is said', () => {
    const told = (rules: object): string => {
      const { code, message } = refusal(() => matchWeights(model, same, rules as WeightRules));
      expect(code).to.equal('bad-argument');
      return message;
    };
    expect(told({ inputchannels: 'zeros' })).to.match(/got inputchannels; did you mean inputChannels\?/);
    expect(told({ inputChannels: 'avg' })).to.match(
      /expected inputChannels to be one of repeat, zeros, got the text 'avg'/,
    );
    expect(told({ strict: 'no' })).to.match(/expected strict to be true or false, got the text 'no'/);
    expect(told({ prefix: 1 })).to.match(/expected prefix to be a text, got 1/);
    expect(told({ rename: 'module.' })).to.match(/expected rename to be a function/);
  });

  it('values that are not finite are taken and told', () => {
    const broken = fileOf({
      ...Object.fromEntries(same.tensors),
      'fc.weight': f32([4, 2], [0, 1, 2, Number.NaN, 4, 5, 6, 7]),
      'bn.running_mean': f32([2], [1, Number.POSITIVE_INFINITY]),
    });
    const { report } = matchWeights(model, broken);
    expect(report.notFinite).to.deep.equal(['bn.running_mean', 'fc.weight']);
    expect(formatWeightReport(report).split('\n').slice(1, 2)).to.deep.equal([
      '  NaN or infinite             2  bn.running_mean, fc.weight',
    ]);
  });

  it('other types become f32, and shapes must agree axis by axis', () => {
    const target = [spec('a', [2]), spec('b', [1, 2])];
    const { values } = matchWeights(target.slice(0, 1), fileOf({ a: i64([2], [3, -4]) }));
    expect([...values.get('a')!]).to.deep.equal([3, -4]);
    const flat = matchWeights(target, fileOf({ a: counting([2]), b: counting([2]) }), { strict: false });
    expect(flat.report.mismatched.map(({ name }) => name)).to.deep.equal(['b']);
  });

  it('a plain weight is taken apart for a weight-normalised layer', () => {
    const scope = createScope(new Graph('net'), { training: false });
    const x = scope.graph.input('x', 'float32', [1, 1, 4, 4]);
    scope.in('conv', (inner) => nn.conv2d(inner, x, { filters: 2, kernel: 1, weightNorm: true }));
    const file = fileOf({ 'conv.weight': f32([2, 1, 1, 1], [3, -4]), 'conv.bias': f32([2], [0, 0]) });
    const { values, report } = matchWeights(scope.specs, file);
    expect([...values.get('conv.weight_g')!]).to.deep.equal([3, 4]);
    expect([...values.get('conv.weight_v')!]).to.deep.equal([3, -4]);
    expect(report.unused).to.deep.equal([]);
  });
});

describe('input channels of the first convolution', () => {
  // Two filters of three channels, one pixel each.
  const w = Float32Array.from([1, 2, 3, 10, 20, 30]);
  const adapted = (channels: number, rule: 'repeat' | 'zeros' = 'repeat') => [
    ...adaptChannels(w, [2, 3, 1, 1], channels, rule),
  ];

  it('repeat: the sum for one channel, else the channels again and again times 3/C', () => {
    expect(adapted(1)).to.deep.equal([6, 60]);
    expect(adapted(2)).to.deep.equal([1.5, 3, 15, 30]);
    expect(adapted(4)).to.deep.equal([0.75, 1.5, 2.25, 0.75, 7.5, 15, 22.5, 7.5]);
    expect(adapted(6)).to.deep.equal([0.5, 1, 1.5, 0.5, 1, 1.5, 5, 10, 15, 5, 10, 15]);
  });

  it('zeros: the same for fewer channels, zeros for more', () => {
    expect(adapted(1, 'zeros')).to.deep.equal([6, 60]);
    expect(adapted(2, 'zeros')).to.deep.equal([1.5, 3, 15, 30]);
    expect(adapted(4, 'zeros')).to.deep.equal([1, 2, 3, 0, 10, 20, 30, 0]);
  });

  it('keeps the pixels of kernels together', () => {
    const kernels = Float32Array.from([1, 2, 3, 4, 5, 6, 7, 8]);
    expect([...adaptChannels(kernels, [1, 2, 2, 2], 1, 'repeat')]).to.deep.equal([6, 8, 10, 12]);
    expect([...adaptChannels(kernels, [1, 2, 2, 2], 4, 'repeat')]).to.deep.equal(
      [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8].map((value) => value / 2),
    );
  });

  /** Specs of a small ResNet for pictures of so many channels. */
  function resnetSpecs(channels: number): readonly ParamSpec[] {
    const scope = createScope(new Graph('net'), { training: false });
    const x = scope.graph.input('x', 'float32', [1, channels, 32, 32]);
    resnet(scope, x, { ...resnetConfigs.resnet18, width: 2, depths: [1, 1], classes: 3 });
    return scope.specs;
  }

  for (const channels of [1, 4, 6])
    it(`3 -> ${channels}: conv1 is fitted, every other tensor copied, in strict mode too`, () => {
      const specs = resnetSpecs(3);
      const weights = initialWeights(specs, 5);
      const file = fileOf(Object.fromEntries(specs.map(({ name, shape }) => [name, f32(shape, weights.get(name)!)])));
      const state = createState(resnetSpecs(channels), { optimizer: adamw });
      initState(state, 6);
      const report = loadWeights(state, file, { inputChannels: 'repeat' });
      expect(report.adapted).to.deep.equal([{ name: 'conv1.weight', file: [2, 3, 7, 7], model: [2, channels, 7, 7] }]);
      expect(report.matched).to.have.length(specs.length);
      const expected = adaptChannels(weights.get('conv1.weight')!, [2, 3, 7, 7], channels, 'repeat');
      expect([...state.tensors.get('conv1.weight')!.data]).to.deep.equal([...expected]);
      for (const { name } of specs.slice(1))
        expect([...state.tensors.get(name)!.data], name).to.deep.equal([...weights.get(name)!]);
      expect(formatWeightReport(report)).to.match(
        /input channels adapted +1 +conv1\.weight \[2,3,7,7\] for \[2,\d,7,7\]/,
      );
      const { message } = refusal(() => matchWeights(resnetSpecs(channels), file));
      expect(message).to.include(`another shape: conv1.weight [2,3,7,7] for [2,${channels},7,7]`);
    });

  it('only the first convolution, and only its channels', () => {
    const target = [spec('a', [2, 3, 3, 3]), spec('b', [2, 4, 3, 3]), spec('c', [5])];
    const file = fileOf({ a: counting([2, 3, 3, 3]), b: counting([2, 3, 3, 3]), c: counting([5]) });
    const { report } = matchWeights(target, file, { inputChannels: 'repeat', strict: false });
    expect(report.mismatched.map(({ name }) => name)).to.deep.equal(['b']);
    const kernel = matchWeights([spec('a', [2, 4, 5, 5]), spec('c', [5])], file, {
      inputChannels: 'repeat',
      strict: false,
    });
    expect(kernel.report.mismatched.map(({ name }) => name)).to.deep.equal(['a']);
  });
});
