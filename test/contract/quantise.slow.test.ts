import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import * as ortNode from 'onnxruntime-node';
import * as ortWasm from 'onnxruntime-web/wasm';
import { awdLstmDefaults } from '../../models/awd-lstm.ts';
import { exportLanguageModel, textModelFacts } from '../../training/apps/text.ts';
import { createRng } from '../../training/core/rng.ts';
import type { Weights } from '../../training/nn/scope.ts';
import { quantiseWeights } from '../../training/onnx/quantise.ts';
import { decodeModel } from '../../training/onnx/schema.ts';
import { initializersOf } from '../../training/onnx/weights.ts';
import { specialTokens } from '../../training/text/special.ts';
import { Vocab } from '../../training/text/vocab.ts';
import { randomTextWeights } from '../helpers/random-text-model.ts';

const config = { ...awdLstmDefaults, width: 80, hidden: 144, layers: 2, words: 300 };
const vocab = new Vocab([...specialTokens, ...Array.from({ length: 300 - specialTokens.length }, (_, i) => `w${i}`)]);
const exported = (weights: Weights): Uint8Array => exportLanguageModel(weights, config, vocab);

// Node has no cross-origin isolation to speak of: one thread, as in most pages.
ortWasm.env.wasm.numThreads = 1;

type Run = (model: Uint8Array) => Promise<Float32Array>;

/** The scores of two words' successors after six words. */
const runOn =
  (ort: typeof ortNode | typeof ortWasm): Run =>
  async (model) => {
    const session = await ort.InferenceSession.create(model);
    const rng = createRng('words');
    const feeds: Record<string, ortNode.Tensor> = {
      words: new ort.Tensor(
        'int32',
        Int32Array.from({ length: 12 }, () => rng.int(0, 299)),
        [2, 6],
      ),
    };
    for (const name of session.inputNames.filter((input) => /state/.test(input))) {
      const size = name.includes('.1.') ? 80 : 144;
      feeds[name] = new ort.Tensor('float32', new Float32Array(2 * size), [1, 2, size]);
    }
    feeds.temperature = new ort.Tensor('float32', Float32Array.of(1, 1), [2, 1]);
    const { scores } = await session.run(feeds);
    await session.release();
    return scores!.data as Float32Array;
  };

const furthest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);

describe('int8 weights', function () {
  this.timeout(60_000);
  const weights = randomTextWeights(config, 1);
  const model = exported(weights);
  const small = quantiseWeights(model);

  it('the file is a quarter, and says of itself what it said', () => {
    expect(small.length / model.length).to.be.within(0.25, 0.3);
    expect(textModelFacts(small)).to.deep.equal(textModelFacts(model));
    expect(quantiseWeights(model, { least: 1e9 })).to.deep.equal(model);
  });

  it('every number is within half a step of its row, rows of zeros stay zeros, small weights as they were', () => {
    const read = initializersOf(small);
    expect([...read.keys()].sort()).to.deep.equal([...initializersOf(model).keys()].sort());
    for (const [name, data] of weights) {
      const found = read.get(name)!;
      expect(found.length, name).to.equal(data.length);
      const width =
        name === 'encoder.weight' || name.includes('rnns.0.weight_ih') || name.includes('1.weight_hh') ? 80 : 144;
      if (name.includes('bias')) expect(found, name).to.deep.equal(data);
      else
        for (let row = 0; row < data.length; row += width) {
          const [before, after] = [data.subarray(row, row + width), found.subarray(row, row + width)];
          const largest = before.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
          expect(furthest(before, after), `${name} ${row / width}`).to.be.at.most((largest / 254) * (1 + 1e-5));
        }
    }
    expect(read.get('encoder.weight')!.subarray(80, 160)).to.deep.equal(new Float32Array(80));
  });

  for (const [name, ort] of Object.entries({ 'the CPU': ortNode, WebAssembly: ortWasm }))
    it(`on ${name} the arithmetic is that of f32 with these weights, and near that of the weights as they were`, async () => {
      const run = runOn(ort);
      const [whole, rounded, same] = [await run(model), await run(small), await run(exported(initializersOf(small)))];
      expect(rounded).to.deep.equal(same);
      const spread = Math.max(...whole) - Math.min(...whole);
      expect(furthest(whole, rounded)).to.be.within(1e-9, 0.01 * spread);
    });

  it('nothing of them is left to compute when the file is loaded', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fettle-int8-'));
    try {
      const path = join(folder, 'optimised.onnx');
      const session = await ortNode.InferenceSession.create(small, {
        optimizedModelFilePath: path,
        logSeverityLevel: 3,
      });
      await session.release();
      const { node, initializer } = decodeModel(await readFile(path)).graph;
      const ops = node.map(({ opType }) => opType ?? '');
      expect(ops).to.include('LSTM');
      expect(ops.filter((op) => op === 'Cast' || op === 'Mul')).to.deep.equal([]);
      expect(initializer.filter(({ dataType }) => dataType === 3)).to.deep.equal([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('says where a number is not finite', () => {
    const broken = new Map(weights);
    const data = weights.get('rnns.1.weight_hh_l0')!.slice();
    data[3 * 80 + 1] = Number.NaN;
    broken.set('rnns.1.weight_hh_l0', data);
    expect(() => quantiseWeights(exported(broken))).to.throw(/got NaN in row 3 of rnns.1.weight_hh_l0/);
  });
});
