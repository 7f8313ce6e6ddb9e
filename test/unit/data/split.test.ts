import { expect } from 'chai';
import { epochOrder } from '../../../training/data/order.ts';
import { folderSplit, functionSplit, randomSplit, shareSplit } from '../../../training/data/split.ts';
import { listImages, listPairs } from '../../../training/pictures/items.node.ts';
import { plainImage, withFolder, writePhoto } from '../../helpers/photos.ts';

const named = (count: number, prefix = 'photo') =>
  Array.from({ length: count }, (_, i) => ({ name: `${prefix}-${i}.jpg` }));

describe('randomSplit', () => {
  it('holds out about the share asked for, every item on one side', () => {
    const items = named(2000);
    const { train, valid } = randomSplit(items, 0.1, 7);
    expect(valid.length).to.be.within(160, 240);
    expect(new Set([...train, ...valid]).size).to.equal(2000);
    expect(train.length + valid.length).to.equal(2000);
  });

  it('never moves an item when others come or go', () => {
    const before = randomSplit(named(300), 0.1, 7);
    const after = randomSplit([...named(500, 'new'), ...named(300).slice(50)], 0.1, 7);
    const kept = before.valid.filter(({ name }) => Number(/\d+/.exec(name)) >= 50);
    expect(after.valid.filter(({ name }) => name.startsWith('photo'))).to.deep.equal(kept);
  });

  it('depends on the seed, and holds out one of a few', () => {
    const items = named(300);
    expect(randomSplit(items, 0.1, 1).valid).to.not.deep.equal(randomSplit(items, 0.1, 2).valid);
    for (let seed = 0; seed < 20; seed++) {
      expect(randomSplit(named(3), 0.01, seed).valid).to.have.length(1);
    }
    expect(randomSplit(named(3), 0, 1).valid).to.have.length(0);
    expect(() => randomSplit(items, 1, 1)).to.throw('expected validShare in [0, 1), got 1');
  });
});

describe('shareSplit', () => {
  it('holds out the share asked for, of few items too, by name and seed', () => {
    for (let seed = 0; seed < 20; seed++)
      for (const [count, held] of [
        [0, 0],
        [1, 0],
        [2, 1],
        [3, 1],
        [10, 2],
        [20, 4],
        [193, 39],
      ] as const) {
        const items = named(count);
        const { train, valid } = shareSplit(items, 0.2, seed);
        expect(valid.length, `${count} with seed ${seed}`).to.equal(held);
        expect(new Set([...train, ...valid]).size).to.equal(count);
        const names = new Set(shareSplit([...items].reverse(), 0.2, seed).valid.map(({ name }) => name));
        expect(valid.every(({ name }) => names.has(name))).to.equal(true);
      }
    expect(shareSplit(named(50), 0.2, 1).valid).to.not.deep.equal(shareSplit(named(50), 0.2, 2).valid);
    expect(shareSplit(named(3), 0, 1).valid).to.have.length(0);
    expect(shareSplit(named(2), 0.9, 1).valid).to.have.length(1);
    expect(() => shareSplit(named(3), 1, 1)).to.throw('shareSplit: expected validShare in [0, 1), got 1');
  });

  it('moves at most one item when one more comes', () => {
    for (let count = 2; count < 60; count++) {
      const held = new Set(shareSplit(named(count), 0.2, 3).valid.map(({ name }) => name));
      const after = new Set(shareSplit(named(count + 1), 0.2, 3).valid.map(({ name }) => name));
      const moved = named(count).filter(({ name }) => held.has(name) !== after.has(name));
      expect(moved.length, `${count}`).to.be.at.most(1);
    }
  });
});

describe('other splits', () => {
  it('by function and by folder', () => {
    const items = [{ name: 'valid/a.png' }, { name: 'train/b.png' }, { name: 'validity/c.png' }];
    expect(folderSplit(items).valid).to.deep.equal([items[0]]);
    expect(functionSplit(items, ({ name }) => name.endsWith('b.png')).train).to.deep.equal([items[0], items[2]]);
  });
});

describe('epochOrder', () => {
  it('shows every item once per round, differently in each round and epoch', () => {
    const order = epochOrder(10, 25, 3, 0);
    expect(order).to.have.length(25);
    const round = (r: number): number[] => order.filter((draw) => draw.round === r).map((draw) => draw.item);
    expect([...round(0)].sort((a, b) => a - b)).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(new Set(round(1)).size).to.equal(10);
    expect(new Set(round(2)).size).to.equal(5);
    expect(round(0)).to.not.deep.equal(round(1));
    expect(epochOrder(10, 25, 3, 1)).to.not.deep.equal(order);
    expect(epochOrder(10, 25, 3, 0)).to.deep.equal(order);
  });
});

describe('listing', () => {
  it('finds pictures in subfolders, in the order of their names', () =>
    withFolder(async (folder) => {
      for (const name of ['b.png', 'a/z.jpg', 'a/notes.txt.png', '.hidden.png']) {
        await writePhoto(folder, name, plainImage(4, 4, 0));
      }
      const items = await listImages(folder);
      expect(items.map(({ name }) => name)).to.deep.equal(['a/notes.txt.png', 'a/z.jpg', 'b.png']);
    }));

  it('pairs by name without extension, and names what has no pair', () =>
    withFolder(async (folder) => {
      for (const name of ['whole/a/x.png', 'whole/y.png', 'bad/a/x.jpg', 'bad/y.jpg', 'bad/extra.jpg']) {
        await writePhoto(folder, name, plainImage(4, 4, 0));
      }
      const pairs = await listPairs(`${folder}/whole`, `${folder}/bad`);
      expect(pairs.map((pair) => [pair.name, pair.damagedPath.endsWith('.jpg')])).to.deep.equal([
        ['a/x.png', true],
        ['y.png', true],
      ]);
      await writePhoto(folder, 'whole/lonely.png', plainImage(4, 4, 0));
      const error = await listPairs(`${folder}/whole`, `${folder}/bad`).catch((e: Error) => e);
      expect(error).to.be.an('error').with.property('message').that.includes('got none for lonely.png');
    }));
});
