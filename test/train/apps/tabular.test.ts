import { expect } from 'chai';
import { tabularLearner } from '../../../training/apps/tabular.ts';
import { createRng } from '../../../training/core/rng.ts';
import { f32, i32 } from '../../../training/core/tensor.ts';
import { arrayLoaders } from '../../../training/data/rows.ts';
import { type TableRow, type TabularLoaderOptions, tabularLoaders } from '../../../training/data/tables.ts';
import { exportModel } from '../../../training/learner/export.ts';
import { createLearner } from '../../../training/learner/learner.ts';
import { accuracy, rmse } from '../../../training/learner/metrics.ts';
import { linear } from '../../../training/nn/layers.ts';
import { crossEntropyLoss, mseLoss } from '../../../training/nn/losses.ts';
import { openCpu } from '../../helpers/tiny-tasks.ts';

const effects: Readonly<Record<string, number>> = { Oslo: 1.5, Riga: -1, Turin: 0.25 };
/** Houses: price = rooms - 3 + effect of the city + a small noise; every tenth area is missing and carries no information. */
function houses(count: number): TableRow[] {
  const rng = createRng(1, 'houses');
  return Array.from({ length: count }, (_, i) => {
    const city = Object.keys(effects)[rng.int(0, 2)]!;
    const rooms = rng.int(1, 6);
    const price = rooms - 3 + effects[city]! + 0.05 * rng.normal();
    return { city, rooms, area: i % 10 === 0 ? '' : 40 + 20 * rng.next(), price, dear: price > 0.5 ? 'yes' : 'no' };
  });
}
const columns = { categories: ['city'], numbers: ['rooms', 'area'] };

describe('loaders from arrays', () => {
  it('a line is learnt from lists of numbers', async () => {
    const x = Array.from({ length: 200 }, (_, i) => [i / 100 - 1, (i % 7) / 7]);
    const data = arrayLoaders({ x, y: x.map(([a, b]) => 2 * a! - b! + 1), batchSize: 16 });
    const model = createLearner({
      model: (s, v) => linear(s, v, 1),
      loss: mseLoss,
      metrics: [rmse()],
      data,
      open: openCpu,
    });
    const learner = await model;
    const rows = await learner.fitOneCycle(20, 0.1);
    expect(rows.at(-1)!.metrics.rmse).to.be.below(0.02);
    await learner.close();
  });

  it('texts are classes with names; rows are held out once, each epoch has an order of its own', async () => {
    const y = Array.from({ length: 50 }, (_, i) => (i < 25 ? 'low' : 'high'));
    const data = arrayLoaders({
      x: f32(
        [50, 1],
        y.map((_, i) => i),
      ),
      y,
      batchSize: 8,
      validShare: 0.2,
    });
    expect(data.vocab).to.deep.equal(['high', 'low']);
    expect([data.train.batchesPerEpoch, data.valid.batchesPerEpoch]).to.deep.equal([5, 2]);
    const seen = async (loader: typeof data.train, epoch: number): Promise<number[]> => {
      const all: number[] = [];
      for await (const batch of loader.epoch(epoch)) {
        batch.x.data.forEach((value, i) => {
          expect(Number(batch.y.data[i])).to.equal(Number(value) < 25 ? 1 : 0);
        });
        all.push(...Array.from(batch.x.data, Number));
      }
      return all;
    };
    const [first, second, held] = [await seen(data.train, 0), await seen(data.train, 1), await seen(data.valid, 0)];
    expect(first).to.not.deep.equal(second);
    expect([...first, ...held].sort((a, b) => a - b)).to.deep.equal(y.map((_, i) => i));
    const resumed: number[] = [];
    for await (const { x } of data.train.epoch(1, { fromBatch: 3 })) resumed.push(...Array.from(x.data, Number));
    expect(resumed).to.deep.equal(second.slice(24));
    const learner = await createLearner({
      model: (s, v) => linear(s, v, 2),
      loss: crossEntropyLoss,
      metrics: [accuracy()],
      data,
      open: openCpu,
    });
    await learner.fit(1, 0.01);
    await learner.close();
  });

  it('refuses what is not rows of numbers', () => {
    expect(() => arrayLoaders({ x: [[1], [2, 3]], y: [1, 2] })).to.throw(
      'expected x as numbers in lists of one length',
    );
    expect(() => arrayLoaders({ x: [[1], [2]], y: i32([3], [0, 1, 0]) })).to.throw(
      'as many rows of y as of x, 2, got 3',
    );
    const mistyped = { x: [[1]], y: [1], batchsize: 3 } as unknown as Parameters<typeof arrayLoaders>[0];
    expect(() => arrayLoaders(mistyped)).to.throw('did you mean batchSize?');
  });
});

describe('tables', () => {
  it('columns are described by the training rows alone; unknown and missing values have a place', async () => {
    const rows = houses(100);
    const { table, statistics, train, encode } = tabularLoaders({ rows, target: 'price', ...columns, batchSize: 80 });
    expect(table.categories).to.deep.equal([
      { name: 'city', values: ['', 'Oslo', 'Riga', 'Turin'] },
      { name: 'area missing', values: ['', 'false', 'true'] },
    ]);
    const cities = rows.map((row, i) => ({ ...row, city: String(i) }));
    const [named] = tabularLoaders({ rows: cities, target: 'price', ...columns }).table.categories;
    expect(named!.values).to.have.length(1 + 80);
    for await (const { x } of train.epoch(0))
      for (const column of [2, 3]) {
        const values = Array.from({ length: 80 }, (_, i) => Number(x.data[4 * i + column]));
        expect(values.reduce((sum, value) => sum + value, 0) / 80).to.be.closeTo(0, 1e-6);
        expect(values.reduce((sum, value) => sum + value ** 2, 0) / 80).to.be.closeTo(1, 1e-5);
      }
    const { mean, std, median } = table.numbers[1]!;
    expect(statistics.mean).to.deep.equal([0, 0, table.numbers[0]!.mean, mean]);
    const [city, gap, , area] = encode({ city: 'Bonn', rooms: 3, area: null }).data;
    expect([city, gap]).to.deep.equal([0, 2]);
    expect(area).to.be.closeTo((median - mean) / std, 1e-6);
    expect([...encode({ city: 'Riga', rooms: 3, area: mean }).data].filter((_, i) => i !== 2)).to.deep.equal([2, 1, 0]);
  });

  it('names the column and the row that is wrong', () => {
    const rows = houses(10);
    const make = (options: Partial<TabularLoaderOptions>) => () =>
      tabularLoaders({ rows, target: 'price', ...columns, ...options });
    expect(make({ numbers: ['city'] })).to.throw("expected numbers in column city, got '");
    expect(make({ target: 'prize' })).to.throw(
      'expected columns of the rows (city, rooms, area, price, dear), got the text',
    );
    expect(make({ target: 'area', kind: 'numbers' })).to.throw('expected area in every row, got none in row 1');
    expect(make({ categories: [], numbers: [] })).to.throw('columns in categories or numbers');
    expect(() => make({})().encode({ city: 'Riga', rooms: 3 })).to.throw('a row with area, perhaps null');
  });

  it('learns a regression to a tenth of the spread, and exports it for raw numbers', async () => {
    const data = tabularLoaders({ rows: houses(600), target: 'price', ...columns, batchSize: 32 });
    const learner = await tabularLearner({ data, open: openCpu, layers: [64, 32] });
    const rows = await learner.fitOneCycle(15, 0.02);
    // The prices have a deviation of 2; their noise is 0.05.
    expect(rows.at(-1)!.metrics.rmse).to.be.below(0.2);
    const row = { city: 'Oslo', rooms: 5, area: 50 };
    const { data: answer } = await learner.predict(data.encode(row));
    expect(answer[0]).to.be.closeTo(3.5, 0.4);
    const session = await openCpu(exportModel(learner));
    const { prediction } = await session.run({ x: f32([1, 4], [1, 1, row.rooms, row.area]) });
    expect(prediction!.data[0]).to.be.closeTo(answer[0]!, 1e-4);
    await session.release();
    await learner.close();
  });

  it('learns two classes to 95 % of rows it has not seen', async () => {
    const data = tabularLoaders({ rows: houses(600), target: 'dear', ...columns, batchSize: 32 });
    expect(data.vocab).to.deep.equal(['no', 'yes']);
    const learner = await tabularLearner({ data, open: openCpu, layers: [64, 32], dropout: 0.1, embedDrop: 0.05 });
    const rows = await learner.fitOneCycle(10, 0.02);
    expect(rows.at(-1)!.metrics.accuracy).to.be.at.least(0.95);
    await learner.close();
  });
});
