import { expect } from 'chai';
import { textWindows, type WindowBatch } from '../../../training/text/windows.ts';

const text = (length: number): Int32Array => Int32Array.from({ length }, (_, i) => i);

async function all(windows: ReturnType<typeof textWindows>, epoch = 0, fromBatch = 0): Promise<WindowBatch[]> {
  const batches: WindowBatch[] = [];
  for await (const batch of windows.epoch(epoch, { fromBatch })) batches.push(batch);
  return batches;
}

/** The words of row `row` over all batches, those that are predicted from. */
const wordsOf = (batches: readonly WindowBatch[], row: number): number[] =>
  batches.flatMap(({ x, y }) => {
    const [, length] = x.dims as [number, number];
    return [...x.data.subarray(row * length, row * length + y.dims[1]!)];
  });

describe('windows of a text', () => {
  it('continue each other row by row, and every word of a row but the first is a target', async () => {
    const windows = textWindows({ tokens: text(103), batchSize: 4, bptt: 6 });
    const batches = await all(windows);
    expect(batches.map(({ x }) => x.dims)).to.deep.equal(Array.from({ length: 4 }, () => [4, 6]));
    for (let row = 0; row < 4; row++)
      expect(wordsOf(batches, row)).to.deep.equal([...text(24)].map((word) => row * 25 + word));
    for (const { x, y } of batches)
      for (let row = 0; row < 4; row++)
        expect([...y.data.subarray(row * 6, row * 6 + 6)]).to.deep.equal([
          ...x.data.subarray(row * 6, row * 6 + 6).map((word) => word + 1),
        ]);
    expect(windows.targets).to.equal(96);
    expect(batches).to.have.length(windows.batchesPerEpoch);
  });

  it('ahead they hold the word that follows as well', async () => {
    const options = { tokens: text(103), batchSize: 4, bptt: 6 };
    const [plain, ahead] = [await all(textWindows(options)), await all(textWindows({ ...options, ahead: true }))];
    expect(ahead.map(({ y }) => y)).to.deep.equal(plain.map(({ y }) => y));
    for (const [i, { x, y }] of ahead.entries()) {
      expect(x.dims).to.deep.equal([4, 7]);
      expect([...x.data.subarray(7, 14)]).to.deep.equal([...plain[i]!.x.data.subarray(6, 12), y.data[11]!]);
    }
  });

  it('have a shorter last one, unless it is to be omitted', async () => {
    const options = { tokens: text(24), batchSize: 2, bptt: 4 };
    expect((await all(textWindows(options))).map(({ y }) => y.dims[1])).to.deep.equal([4, 4, 3]);
    expect((await all(textWindows({ ...options, dropLast: true }))).map(({ y }) => y.dims[1])).to.deep.equal([4, 4]);
    expect(textWindows({ ...options, dropLast: true }).targets).to.equal(16);
  });

  it('with jitter begin elsewhere in every epoch, with the same shapes, the same for the same seed', async () => {
    const windows = textWindows({ tokens: text(400), batchSize: 2, bptt: 10, jitter: true });
    const starts = await Promise.all(
      [0, 1, 2, 3, 4, 5].map(async (epoch) => (await all(windows, epoch))[0]!.x.data[0]!),
    );
    expect(new Set(starts).size).to.be.greaterThan(2);
    expect(Math.max(...starts)).to.be.below(10);
    expect((await all(windows, 3)).map(({ x }) => x.dims)).to.deep.equal(
      (await all(windows, 0)).map(({ x }) => x.dims),
    );
    expect(await all(windows, 3)).to.deep.equal(await all(windows, 3));
  });

  it('are the same when an epoch is entered in the middle; only its beginning is given', async () => {
    let begun = 0;
    const windows = textWindows({
      tokens: text(200),
      batchSize: 2,
      bptt: 7,
      jitter: true,
      onBegin: () => void begun++,
    });
    expect(await all(windows, 2, 5)).to.deep.equal((await all(windows, 2)).slice(5));
    expect(begun).to.equal(1);
  });

  it('refuse a text that is too short, and sizes that are not valid', () => {
    expect(() => textWindows({ tokens: text(5), batchSize: 5, bptt: 2 })).to.throw(
      /expected at least 15 words .* got 5/,
    );
    expect(() => textWindows({ tokens: text(20), batchSize: 2, bptt: 0 })).to.throw(/whole bptt >= 1, got 0/);
    expect(() => textWindows({ tokens: text(9), batchSize: 2, bptt: 4, dropLast: true })).to.throw(/words for 2 rows/);
  });
});
