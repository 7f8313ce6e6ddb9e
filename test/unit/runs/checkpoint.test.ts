import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { writeDurably } from '../../../training/core/durable.node.ts';
import { createRng } from '../../../training/core/rng.ts';
import { newProgress, type Progress } from '../../../training/loop/recorder.ts';
import { zerosInit } from '../../../training/nn/init.ts';
import type { ParamSpec } from '../../../training/nn/scope.ts';
import { adamw, sgd } from '../../../training/optim/optimizers.ts';
import {
  checkpointFiles,
  decodeCheckpoint,
  encodeCheckpoint,
  hasCheckpoint,
  prepareRunFolder,
  restoreCheckpoint,
  resumeFrom,
} from '../../../training/runs/checkpoint.node.ts';
import { showDifference } from '../../../training/runs/run-facts.ts';
import { createState, type TrainState } from '../../../training/step/state.ts';
import { withFolder } from '../../helpers/photos.ts';

const spec = (name: string, shape: readonly number[], kind: ParamSpec['kind'] = 'param'): ParamSpec => ({
  name,
  shape,
  kind,
  init: zerosInit,
  decay: shape.length > 1,
});
const specs = [spec('w', [3, 2]), spec('b', [3]), spec('mean', [3], 'buffer')];

/** A state whose every number is another. */
function filled(seed: number, step: number): TrainState {
  const state = createState(specs, { optimizer: adamw });
  const rng = createRng('state', seed);
  for (const values of [state.params, state.buffers, ...state.moments]) values.set(values.map(() => rng.normal()));
  state.extra.set('average', Float32Array.of(rng.next()));
  state.step = step;
  return state;
}
const numbersOf = ({ params, buffers, moments, extra, step }: TrainState): unknown => [
  params,
  buffers,
  moments,
  extra,
  step,
];

const progress: Progress = {
  ...newProgress(),
  epoch: 2,
  batch: 5,
  lossSum: 0.1 + 0.2,
  seconds: 1.5,
  rows: [{ epoch: 0, trainLoss: 1 / 3, seconds: 2, metrics: { psnr: 25.123456789 } }],
};
const run = JSON.stringify({ config: { lr: 0.1, stages: [{ size: 32 }] }, train: ['a', 'b'] });

describe('checkpoint', () => {
  it('gives back every number of the state, and the progress', () => {
    const state = createState(specs, { optimizer: adamw });
    const back = restoreCheckpoint(encodeCheckpoint(filled(1, 17), progress, run), state, run);
    expect(numbersOf(state)).to.deep.equal(numbersOf(filled(1, 17)));
    expect(back).to.deep.equal(progress);
  });

  it('of another run is refused, saying what is different', () => {
    const bytes = encodeCheckpoint(filled(1, 1), progress, run);
    const state = createState(specs, { optimizer: adamw });
    const other = JSON.stringify({ config: { lr: 0.2, stages: [{ size: 32 }] }, train: ['a', 'b'] });
    expect(() => restoreCheckpoint(bytes, state, other)).to.throw(
      /config\.lr was 0\.1, is 0\.2.*resume with the same options/,
    );
    expect(
      [...state.params].every((value) => value === 0),
      'nothing was read',
    ).to.equal(true);
  });

  it('of another model or optimiser is refused', () => {
    const bytes = encodeCheckpoint(filled(1, 1), progress, run);
    const larger = createState([...specs, spec('more', [2])], { optimizer: adamw });
    expect(() => restoreCheckpoint(bytes, larger, run)).to.throw(/expected more with 2 values, got none/);
    const saved = encodeCheckpoint(createState(specs, { optimizer: sgd }), progress, run);
    const state = createState(specs, { optimizer: adamw });
    expect(() => restoreCheckpoint(saved, state, run)).to.throw(/expected moment\/1/);
  });

  it('with any byte of its numbers or texts changed is refused', () => {
    const bytes = encodeCheckpoint(filled(1, 17), progress, run);
    const start = Buffer.from(bytes).indexOf('fettle-checkpoint');
    for (let at = start; at < bytes.length; at += 7) {
      const damaged = bytes.slice();
      damaged[at]! ^= 1;
      // Blanks that fill up the header mean nothing; a tab in their place is no damage.
      if (bytes[at] === 0x20) continue;
      expect(() => decodeCheckpoint(damaged), `byte ${at}`).to.throw(/checkpoint: expected/);
    }
  });

  it('falls back on the one before, and says why; without any there is nothing to resume', async () => {
    await withFolder(async (folder) => {
      const state = createState(specs, { optimizer: adamw });
      expect([await hasCheckpoint(folder), await resumeFrom(folder, state, run)]).to.deep.equal([false, undefined]);
      await writeFile(join(folder, checkpointFiles.previous), encodeCheckpoint(filled(1, 3), progress, run));
      const latest = encodeCheckpoint(filled(2, 4), progress, run);
      await writeFile(join(folder, checkpointFiles.latest), latest.subarray(0, latest.length - 4));
      const notes: string[] = [];
      await resumeFrom(folder, state, run, (text) => notes.push(text));
      expect(numbersOf(state)).to.deep.equal(numbersOf(filled(1, 3)));
      expect(notes).to.have.length(1);
      expect(notes[0]).to.match(/checkpoint\.safetensors: expected .*damaged/);
      await writeFile(join(folder, checkpointFiles.latest), latest);
      await resumeFrom(folder, state, run);
      expect(state.step).to.equal(4);
    });
  });

  it('writing replaces a file whole and leaves no other; what a killed run left is cleared away, and only that', async () => {
    await withFolder(async (folder) => {
      const path = join(folder, 'log.csv');
      await writeDurably(path, 'one');
      await writeDurably(path, 'two');
      expect([await readFile(path, 'utf8'), await readdir(folder)]).to.deep.equal(['two', ['log.csv']]);
      await writeFile(`${path}.123.tmp`, 'half');
      await writeFile(join(folder, 'notes.tmp'), "the user's own");
      const release = await prepareRunFolder(folder);
      await release();
      expect((await readdir(folder)).sort()).to.deep.equal(['log.csv', 'notes.tmp']);
    });
  });
});

describe('difference of two runs', () => {
  it('names what changed, and only that', () => {
    const differ = (before: unknown, now: unknown): string | undefined =>
      showDifference(JSON.stringify(before), JSON.stringify(now));
    expect(differ({ a: 1, b: [1, 2] }, { b: [1, 2], a: 1 })).to.equal(undefined);
    expect(differ({ a: { b: 1 } }, { a: { b: 2 }, c: true })).to.equal('a.b was 1, is 2; c was not set, is true');
    expect(differ({ train: ['a', 'b'] }, { train: ['b', 'c', 'd', 'e', 'f'] })).to.equal(
      'train: 4 new: c, d, e, ...; 1 gone: a',
    );
    expect(differ({ train: ['a', 'b'] }, { train: ['b', 'a'] })).to.equal('train: another order');
    expect(differ({ a: 1, b: 1, c: 1, d: 1, e: 1 }, {})).to.match(/^a was 1, is not set; .*; 2 more$/);
    expect(showDifference('one', 'other')).to.equal('the run was "one", is "other"');
  });
});
