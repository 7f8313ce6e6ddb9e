import { spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { createRng } from '../../training/core/rng.ts';
import type { Progress } from '../../training/loop/recorder.ts';
import { checkpointFiles, decodeCheckpoint } from '../../training/runs/checkpoint.node.ts';
import { decodeSafetensors } from '../../training/weights/safetensors.ts';
import { smallRunSteps, writePhotos } from '../helpers/small-restore.ts';
import type { ChildOptions } from './resume-child.ts';

const child = fileURLToPath(new URL('./resume-child.js', import.meta.url));
/** More kills than in a quick run, for those who want to be sure: `FETTLE_KILLS=20`. */
const kills = Number(process.env.FETTLE_KILLS ?? 3);

interface Ended {
  /** The last step that the process said it had done; 0 when none. */
  readonly step: number;
  readonly done: boolean;
  readonly killed: boolean;
  readonly stderr: string;
}

/** Runs a training; with `killAt`, kills it so many milliseconds after it has said that step. */
function train(options: ChildOptions, killAt?: { readonly step: number; readonly afterMs: number }): Promise<Ended> {
  const process_ = spawn(process.execPath, [child, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  const lastStep = (): number => Number(/batch (\d+)\n(?:done\n)?$/.exec(stdout)?.[1] ?? 0);
  let armed = killAt !== undefined;
  process_.stdout.on('data', (text: Buffer) => {
    stdout += text;
    if (!armed || lastStep() < killAt!.step) return;
    armed = false;
    setTimeout(() => process_.kill('SIGKILL'), killAt!.afterMs);
  });
  process_.stderr.on('data', (text: Buffer) => {
    stderr += text;
  });
  return new Promise((resolve) => {
    process_.on('close', (_code, signal) =>
      resolve({ step: lastStep(), done: stdout.endsWith('done\n'), killed: signal === 'SIGKILL', stderr }),
    );
  });
}

/** Everything in a run's folder that training decides; times are omitted. */
async function outcome(out: string): Promise<unknown> {
  const file = decodeCheckpoint(await readFile(join(out, checkpointFiles.latest)));
  const best = decodeSafetensors(await readFile(join(out, checkpointFiles.best)));
  const { rows } = JSON.parse(file.metadata.progress!) as Progress;
  const bits = (tensors: typeof file.tensors): readonly unknown[] =>
    [...tensors].map(([name, { data }]) => [name, Buffer.from(data.buffer).toString('base64')]);
  return {
    step: file.metadata.step,
    tensors: bits(file.tensors),
    best: bits(best.tensors),
    bestEpoch: best.metadata.epoch,
    rows: rows.map(({ epoch, trainLoss, metrics }) => ({ epoch, trainLoss, metrics })),
  };
}

const stepIn = async (out: string): Promise<number> =>
  Number(decodeCheckpoint(await readFile(join(out, checkpointFiles.latest))).metadata.step);

describe('resuming a training', function () {
  this.timeout(240_000 + 10_000 * kills);
  let dir: string;
  let data: string;
  let expected: unknown;
  const options = (name: string): ChildOptions => ({
    data,
    out: join(dir, name),
    resume: true,
    intervalS: 0,
    workers: 1,
  });

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'fettle-resume-'));
    data = join(dir, 'photos');
    await writePhotos(data, 9);
    const whole = await train({ ...options('whole'), resume: false, intervalS: 1000 });
    expect(whole.done, whole.stderr).to.equal(true);
    expect(whole.step).to.equal(smallRunSteps);
    expected = await outcome(join(dir, 'whole'));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  it('killed at random moments, it ends with the bits of a run that was not', async () => {
    const rng = createRng('kills');
    const run = options('random');
    let at = 0;
    for (let i = 1; i <= kills; i++) {
      // Spread over the run, so that both sizes of crops and an epoch's end are met.
      const step = Math.max(at + 1, Math.round((i / (kills + 1)) * smallRunSteps));
      const ended = await train({ ...run, workers: 1 + (i % 2) }, { step, afterMs: rng.int(0, 40) });
      expect(ended.killed || ended.done, ended.stderr).to.equal(true);
      if (ended.done) break;
      const saved = await stepIn(run.out);
      expect(saved, 'a step that had been saved').to.be.at.least(ended.step);
      at = saved;
    }
    const last = await train(run);
    expect(last.done, last.stderr).to.equal(true);
    expect(await outcome(run.out)).to.deep.equal(expected);
    expect((await readdir(run.out)).filter((name) => name.endsWith('.tmp'))).to.deep.equal([]);
  });

  it('killed while a file is being written, it continues from the file before', async () => {
    const run = options('writing');
    let left = 0;
    // Odd syncs are of files, even ones of the folder that they were renamed in.
    for (const dieInWrite of [1, 4, 15]) {
      const ended = await train({ ...run, dieInWrite });
      expect(ended.killed, ended.stderr).to.equal(true);
      left += (await readdir(run.out)).filter((name) => name.endsWith('.tmp')).length;
    }
    expect(left, 'temporary files that kills left').to.be.at.least(2);
    const last = await train({ ...run, intervalS: 0.1 });
    expect(last.done, last.stderr).to.equal(true);
    expect(await outcome(run.out)).to.deep.equal(expected);
    expect((await readdir(run.out)).filter((name) => name.endsWith('.tmp'))).to.deep.equal([]);
  });

  it('a second run in the same folder is refused while the first one continues', async () => {
    const run = options('shared');
    const first = train(run, { step: 8, afterMs: 4000 });
    let second: Ended | undefined;
    for (let tries = 0; second === undefined && tries < 600; tries++) {
      if ((await readdir(run.out).catch((): string[] => [])).includes('run.lock')) second = await train(run);
      else await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(second!.stderr)
      .to.include(run.out)
      .and.to.match(/held by process \d+;/);
    expect((await first).stderr).to.equal('');
  });

  it('a damaged latest checkpoint is said, and the one before it taken', async () => {
    const run = options('damaged');
    await train(run, { step: 8, afterMs: 0 });
    const [latest, previous] = [join(run.out, checkpointFiles.latest), join(run.out, checkpointFiles.previous)];
    const whole = await readFile(latest);
    const flipped = Buffer.from(whole);
    flipped[flipped.length - 100]! ^= 1;
    await writeFile(latest, flipped);
    const last = await train(run);
    expect(last.done, last.stderr).to.equal(true);
    expect(await outcome(run.out)).to.deep.equal(expected);

    await writeFile(latest, whole);
    await truncate(latest, whole.length - 10);
    await cp(latest, previous);
    const refused = await train(run);
    expect(refused.done).to.equal(false);
    expect(refused.stderr).to.match(/checkpoint\.safetensors: expected .* the file is damaged/);
  });
});
