import { expect } from 'chai';
import { fileHeader, scalarRecord } from '../../../training/runs/event-file.ts';
import { readEvents } from '../../helpers/event-reader.ts';

describe('event files', () => {
  it('are read back by an independent reader', () => {
    const file = Buffer.concat([
      fileHeader(1700000000.25),
      scalarRecord(1700000001.5, 300, { 'train/loss': 0.25, 'train/lr': 1e-3 }),
      scalarRecord(1700000002, 70_000, { 'valid/accuracy': 0.5 }),
    ]);
    const [head, first, second] = readEvents(file);
    expect(head).to.deep.equal({ wallTime: 1700000000.25, step: 0, version: 'brain.Event:2', scalars: {} });
    expect(first!.step).to.equal(300);
    expect(first!.wallTime).to.equal(1700000001.5);
    expect(first!.scalars).to.deep.equal({ 'train/loss': 0.25, 'train/lr': Math.fround(1e-3) });
    expect(second).to.include({ step: 70_000 });
    expect(second!.scalars).to.deep.equal({ 'valid/accuracy': 0.5 });
  });

  it('a flipped bit is found by that reader', () => {
    const file = Buffer.from(scalarRecord(1, 2, { loss: 3 }));
    file[20]! ^= 4;
    expect(() => readEvents(file)).to.throw(/checksum of the data/);
  });
});
