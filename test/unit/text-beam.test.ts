import { expect } from 'chai';
import { beamSearch } from '../../training/data/text/beam.ts';
import { chainModel } from '../helpers/chain-model.ts';

describe('beam search', () => {
  // The likeliest first word leads to a worse text.
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
});
