import { expect } from 'chai';
import { beamSearch } from '../../../training/generate/beam.ts';
import { chainModel } from '../../helpers/chain-model.ts';

describe('beam search', () => {
  // The most likely first word leads to a worse text.
  const model = chainModel(
    (last) => ({ xxbos: { a: 0.6, b: 0.4 }, a: { c: 0.3, '.': 0.3, a: 0.4 }, b: { c: 1 } })[last] ?? { xxbos: 1 },
  );

  it('finds a text that is likelier than the one of the likeliest words', async () => {
    const [best] = await beamSearch(model, { beams: 4 });
    expect(best!.text).to.equal('b c');
    expect(best!.logProbability).to.be.closeTo(Math.log(0.4), 1e-3);
    expect(best!.finished).to.equal(true);
    const [greedy] = await beamSearch(model, { beams: 1, maxTokens: 3 });
    expect(greedy!.text).to.equal('a a a');
  });

  it('counts the end among the tokens that log p is divided by', async () => {
    // "b" and its end: log(.4) / 2; "a a": log(.6 * .6) / 2 is worse, but better than log(.4) / 1.
    const short = chainModel((last) => ({ xxbos: { a: 0.6, b: 0.4 }, a: { a: 0.6, c: 0.4 } })[last] ?? { xxbos: 1 });
    const [best] = await beamSearch(short, { beams: 4, maxTokens: 2 });
    expect([best!.text, best!.finished]).to.deep.equal(['b', true]);
  });

  it('refuses numbers out of range', async () => {
    for (const options of [{ beams: 0 }, { topK: 1.5 }, { maxTokens: 0 }]) {
      const error = await beamSearch(model, options).catch((reason: unknown) => reason);
      expect(error, JSON.stringify(options)).to.have.property('code', 'bad-argument');
    }
  });
});
