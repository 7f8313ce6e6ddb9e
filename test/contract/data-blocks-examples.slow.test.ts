import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Image } from '../../training/core/image.ts';
import { examplesOf, runExample } from '../helpers/example.ts';
import { wavyImage, withFolder, writePhoto } from '../helpers/photos.ts';

describe('the examples in docs/reference/data-blocks.md', () => {
  const [pets, roads, tables, numbers, ...others] = examplesOf('docs/reference/data-blocks.md');

  it('classes by the names of files', () =>
    withFolder(async (folder) => {
      expect(others).to.deep.equal([]);
      for (let i = 0; i < 24; i++) {
        await writePhoto(folder, `pets/${['pug', 'tabby cat'][i % 2]}_${i}.jpg`, wavyImage(80, 70, i));
      }
      const printed = runExample(pets!, folder);
      expect(printed).to.match(/^get +24 items, the first 'pug_0.jpg'\nsplit +random 25 %, seed 42: \d+ for training/);
      expect(printed).to.match(/label +category, 2 classes \(pug, tabby cat\)/);
      expect(printed).to.match(/x \[4,3,64,64\], y (pug|tabby cat),/);
      expect(printed).to.match(/\n0 pictures could not be read\n$/);
      expect(existsSync(join(folder, 'batch.png'))).to.equal(true);
    })).timeout(30_000);

  it('masks', () =>
    withFolder(async (folder) => {
      const data = Uint8Array.from({ length: 48 * 32 }, (_, i) => (i < 48 * 12 ? 0 : 1));
      const mask: Image = { width: 48, height: 32, channels: 1, data };
      for (let i = 0; i < 4; i++) {
        await writePhoto(folder, `photos/${i}.jpg`, wavyImage(96, 64, i));
        await writePhoto(folder, `masks/${i}.png`, mask);
      }
      const lines = runExample(roads!, folder).trim().split('\n');
      expect(lines).to.have.length(2);
      for (const line of lines) expect(line).to.match(/^x \[2,3,32,48\], y \[2,32,48\]: 0 1( 255)?$/);
      expect(lines.join()).to.include('255');
    })).timeout(30_000);

  it('arrays and tables', () =>
    withFolder(async (folder) => {
      const rows = Array.from({ length: 120 }, (_, i) => {
        const [city, rooms] = [['Riga', 'Oslo'][i % 2]!, 1 + (i % 5)];
        return `${city},${rooms},${i % 10 === 0 ? '' : 40 + i},${rooms + (city === 'Oslo' ? 1 : 0)}`;
      });
      await writeFile(join(folder, 'houses.csv'), ['city,rooms,area,price', ...rows].join('\n'));
      const printed = /^rmse (\d\.\d\d), price (-?\d\.\d)\n$/.exec(runExample(tables!, folder));
      expect(Number(printed?.[1])).to.be.below(1);
      expect(Number(printed?.[2])).to.be.closeTo(3, 1);
    })).timeout(30_000);

  it('human numbers', () => {
    const [counts, joined] = runExample(numbers!).split('\n');
    expect(counts).to.equal('13017 tokens, 38 words, 12928 targets');
    // The end of row 0 of the first window, and the word that follows it.
    expect(joined).to.equal(', eight thousand sixteen , eight thousand seventeen , eight | thousand');
  }).timeout(30_000);
});
