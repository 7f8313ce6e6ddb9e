import { expect } from 'chai';
import { humanNumbers, numbersText, numberWords, textOf } from '../../../training/text/human-numbers.ts';
import { textWindows } from '../../../training/text/windows.ts';

const { train, valid, vocab } = humanNumbers();
describe('human numbers', () => {
  it('counts in English', () => {
    expect([1, 10, 14, 20, 21, 100, 815, 1000, 8041, 9999].map((n) => numberWords(n).join(' '))).to.deep.equal([
      'one',
      'ten',
      'fourteen',
      'twenty',
      'twenty one',
      'one hundred',
      'eight hundred fifteen',
      'one thousand',
      'eight thousand forty one',
      'nine thousand nine hundred ninety nine',
    ]);
    expect(() => numberWords(0)).to.throw(/1..9999/);
    expect(new Set(Array.from({ length: 9999 }, (_, i) => numberWords(i + 1).join(' '))).size).to.equal(9999);
  });

  it("has the lesson's 13 017 validation tokens, vocabulary of 38 and ids", () => {
    expect([train.length, valid.length, vocab.length]).to.deep.equal([50082, 13017, 38]);
    // What the lesson prints for the start of the validation set, and the ids that can be read off it.
    expect([...valid.subarray(0, 14)]).to.deep.equal([2, 18, 10, 11, 8, 18, 10, 12, 8, 18, 10, 13, 8, 18]);
    const ids = { xxbos: 2, ',': 8, hundred: 9, thousand: 10, one: 11, eight: 18, twenty: 20, ten: 28, nineteen: 37 };
    for (const [word, id] of Object.entries(ids)) expect(vocab.indexOf(word), word).to.equal(id);
    expect(textOf(train.subarray(0, 9), vocab)).to.equal('xxbos one , two , three , four ,');
    expect(textOf(valid.subarray(-6), vocab)).to.equal('nine thousand nine hundred ninety nine');
    expect(textOf(valid, vocab)).to.equal(numbersText(8001, 9999).join(' '));
  });

  it('a validation pass has 12 928 targets, whatever the windows are', async () => {
    // (floor(13 017 / 64) - 1) * 64: a short last batch counts.
    for (const [bptt, batches] of [
      [70, 3],
      [20, 11],
      [3, 68],
    ] as const) {
      const windows = textWindows({ tokens: valid, batchSize: 64, bptt });
      expect([windows.batchesPerEpoch, windows.targets]).to.deep.equal([batches, 12_928]);
      let seen = 0;
      for await (const { y } of windows.epoch(0)) seen += y.data.length;
      expect(seen).to.equal(12_928);
    }
    const windows = textWindows({ tokens: valid, batchSize: 64, bptt: 95 });
    const { x } = (await windows.epoch(0).next()).value as { readonly x: { readonly data: Int32Array } };
    expect(textOf(x.data.subarray(95, 95 + 7), vocab)).to.equal(', eight thousand forty six , eight');
  });
});
