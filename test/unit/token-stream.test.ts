import { expect } from 'chai';
import { humanNumbers, numbersText, numberWords } from '../../training/data/text/human-numbers.ts';
import { type TokenStreamOptions, textOf, tokenStream } from '../../training/data/text/stream.ts';

const { train, valid, vocab } = humanNumbers();
const stream = (options: Partial<TokenStreamOptions> = {}) =>
  tokenStream({ tokens: valid, batchSize: 64, bptt: 70, ...options });

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
});

describe('token stream', () => {
  it('a validation pass has 12 928 targets, whatever bptt is', () => {
    // (floor(13 017 / 64) - 1) * 64: a short last batch counts.
    const shapes = [70, 20, 3].map((bptt) => [stream({ bptt }).batchesPerEpoch(), stream({ bptt }).targetsPerEpoch()]);
    expect(shapes).to.deep.equal([
      [3, 12928],
      [11, 12928],
      [68, 12928],
    ]);
    const seen = [...stream({ bptt: 20 }).epoch()].reduce((sum, { y }) => sum + y.data.length, 0);
    expect(seen).to.equal(12928);
    expect(stream({ bptt: 20, dropLast: true }).targetsPerEpoch()).to.equal(64 * 200);
  });

  it('every mini-batch continues the last one, and y is one token ahead of x', () => {
    for (const options of [{ bptt: 3 }, { bptt: 20 }, { bptt: 70, lengths: 'random' as const }]) {
      const rows: number[][] = Array.from({ length: 64 }, () => []);
      const next: number[][] = Array.from({ length: 64 }, () => []);
      for (const { x, y } of stream(options).epoch(4)) {
        const [batch, length] = x.dims as [number, number];
        expect([batch, ...y.dims]).to.deep.equal([64, 64, length]);
        for (let b = 0; b < 64; b++) {
          rows[b]!.push(...x.data.subarray(b * length, (b + 1) * length));
          next[b]!.push(...y.data.subarray(b * length, (b + 1) * length));
        }
      }
      rows.forEach((row, b) => {
        expect(row).to.deep.equal([...valid.subarray(b * 203, b * 203 + 202)]);
        expect(next[b]).to.deep.equal([...valid.subarray(b * 203 + 1, b * 203 + 203)]);
      });
    }
    const second = [...stream({ bptt: 95 }).epoch()][0]!.x.data.subarray(95, 95 + 7);
    expect(textOf(second, vocab)).to.equal(', eight thousand forty six , eight');
  });

  it('an epoch can be entered in its middle; random lengths differ from epoch to epoch and stay in bounds', () => {
    const random = stream({ tokens: train, lengths: 'random', bptt: 20, seed: 3 });
    const lengths = (epoch: number): number[] => [...random.epoch(epoch)].map(({ x }) => x.dims[1]!);
    expect([...random.epoch(1, { fromBatch: 5 })]).to.deep.equal([...random.epoch(1)].slice(5));
    expect(lengths(1)).to.deep.equal(lengths(1));
    expect(lengths(2)).to.not.deep.equal(lengths(1));
    expect(Math.min(...lengths(1).slice(0, -1))).to.be.at.least(5);
    expect(Math.max(...lengths(1))).to.be.at.most(45);
    expect(lengths(1)).to.have.length(random.batchesPerEpoch(1));
    expect(lengths(1).reduce((sum, length) => sum + length, 0)).to.equal(random.rowLength - 1);
  });

  it('refuses too little text', () => {
    expect(() => stream({ tokens: new Int32Array(100) })).to.throw(/at least 128 tokens for 64 rows, got 100/);
    expect(() => stream({ bptt: 0 })).to.throw(/bptt >= 1/);
  });
});
