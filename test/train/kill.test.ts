import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { createRng } from '../../training/core/rng.ts';
import type { Progress } from '../../training/loop/recorder.ts';
import { checkpointFiles, decodeCheckpoint, type RunManifest } from '../../training/runs/checkpoint.node.ts';
import { decodeSafetensors } from '../../training/weights/safetensors.ts';
import type { KillChildOptions } from './kill-child.ts';

const child = fileURLToPath(new URL('./kill-child.js', import.meta.url));
/** More kills than in a usual run, for those who want to be sure: `FETTLE_KILLS=200`. */
const kills = Number(process.env.FETTLE_KILLS ?? 20);
/** Enough for that many kills, even though a run continues a little before each. 3 updates an epoch. */
const epochs = Math.max(12, kills);

/** Places in a save, in the order of a save at the end of an epoch: `<operation> <file>`, before the operation is over. */
const endOfEpoch = ['write best', 'rename best', 'write epoch-', 'rename epoch-'] as const;
const places = [
  'link checkpoint.previous',
  'rename checkpoint.previous',
  'write checkpoint.safetensors',
  'sync checkpoint.safetensors',
  'rename checkpoint.safetensors',
  'write manifest',
  'sync manifest',
  'rename manifest',
] as const;

interface Ended {
  readonly killed: boolean;
  readonly done: boolean;
  /** Updates done when the process began, and the last that it said was saved. */
  readonly from: number;
  readonly saved: number;
  /** The place in a save where it was killed. */
  readonly place: string | undefined;
  readonly output: string;
}

/** When to kill: so many milliseconds after the process has said that a step is saved, or inside a save after it. */
type Moment = { readonly step: number } & ({ readonly afterMs: number } | { readonly at: string });

const lastNumber = (text: string, word: string): number =>
  Number([...text.matchAll(new RegExp(`^${word} (\\d+)\n`, 'gm'))].at(-1)?.[1] ?? 0);

function train(options: KillChildOptions, moment?: Moment): Promise<Ended> {
  const hold = moment !== undefined && 'at' in moment ? { hold: moment } : {};
  const argument = JSON.stringify({ ...options, ...hold });
  const process_ = spawn(process.execPath, [child, argument], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let armed = moment !== undefined;
  const kill = (): void => void process_.kill('SIGKILL');
  process_.stdout.on('data', (text: Buffer) => {
    output += text;
    if (/^in .*\n/m.test(output)) kill();
    if (!armed || 'at' in moment! || Math.max(lastNumber(output, 'from'), lastNumber(output, 'saved')) < moment!.step)
      return;
    armed = false;
    setTimeout(kill, moment!.afterMs);
  });
  process_.stderr.on('data', (text: Buffer) => {
    output += text;
  });
  return new Promise((resolve) => {
    process_.on('close', (_code, signal) => {
      const from = lastNumber(output, 'from');
      resolve({
        killed: signal === 'SIGKILL',
        done: output.endsWith('done\n'),
        from,
        saved: Math.max(from, lastNumber(output, 'saved')),
        place: /^in (.*)\n/m.exec(output)?.[1],
        output,
      });
    });
  });
}

const untimed = ({ rows }: Progress): readonly unknown[] => rows.map(({ seconds: _, ...row }) => row);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** A checkpoint without its times: tensors (parameters, statistics, moments, what callbacks keep) as bits. */
async function checkpointIn(folder: string, name: string): Promise<unknown> {
  const { tensors, metadata } = decodeCheckpoint(await readFile(join(folder, name)), name);
  const progress = JSON.parse(metadata.progress!) as Progress;
  return {
    step: metadata.step,
    tensors: [...tensors].map(([key, { data }]) => [
      key,
      sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
    ]),
    progress: { ...progress, seconds: 0, rows: untimed(progress) },
  };
}

const stepIn = async (folder: string): Promise<number> =>
  Number(decodeCheckpoint(await readFile(join(folder, checkpointFiles.latest))).metadata.step);

/** Everything that a run leaves: the learner's weights and history, the last, best and kept checkpoints. */
async function outcome(out: string): Promise<unknown> {
  const names = (await readdir(out)).sort();
  const kept = names.filter((name) => name.startsWith('epoch-'));
  return {
    names,
    history: await readFile(`${out}.json`, 'utf8'),
    weights: sha256(await readFile(`${out}.safetensors`)),
    best: sha256(await readFile(join(out, checkpointFiles.best))),
    checkpoints: await Promise.all([checkpointFiles.latest, ...kept].map((name) => checkpointIn(out, name))),
  };
}

/** What must hold whenever the process is dead: what was said to be saved is there, and each file is whole. */
async function checkFolder(out: string, { saved, output }: Ended): Promise<void> {
  const names = await readdir(out);
  if (saved > 0) expect(await stepIn(out), output).to.be.at.least(saved);
  for (const name of names.filter((one) => /^(checkpoint|epoch).*\.safetensors$/.test(one)))
    decodeCheckpoint(await readFile(join(out, name)), name);
  if (names.includes(checkpointFiles.best)) decodeSafetensors(await readFile(join(out, checkpointFiles.best)));
  if (names.includes(checkpointFiles.manifest)) JSON.parse(await readFile(join(out, checkpointFiles.manifest), 'utf8'));
}

describe(`a training that is killed ${kills} times`, function () {
  this.timeout(60_000 + 5_000 * kills);
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fettle-kill-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** The `i`th kill: in turns inside a save and after some time. Ends of epochs come first, since a best epoch may be early. */
  function momentOf(i: number): Moment {
    const rng = createRng('moments', i);
    const step = Math.round(((i + 1) / (kills + 1)) * 0.7 * 3 * epochs);
    const inside = [...endOfEpoch, ...places];
    if (i % 3 === 2) return { step, afterMs: 40 * rng.next() };
    const turn = i - Math.floor(i / 3);
    return { step, at: inside[turn] ?? places[rng.int(0, places.length - 1)]! };
  }

  it('loses nothing, and ends with the bits of one that was not', async () => {
    const whole = { out: join(folder, 'whole'), epochs, intervalS: 1000 };
    const undisturbed = await train(whole);
    expect(undisturbed.done, undisturbed.output).to.equal(true);

    const run = { out: join(folder, 'killed'), epochs, intervalS: 0 };
    const killedIn: string[] = [];
    let saved = 0;
    for (let i = 0; i < kills; i++) {
      const ended = await train(run, momentOf(i));
      expect(ended.killed, `kill ${i}: ${ended.output}`).to.equal(true);
      expect(ended.output).not.to.match(/^note/m);
      expect(ended.from, 'continues from what was saved').to.equal(saved);
      await checkFolder(run.out, ended);
      saved = await stepIn(run.out).catch(() => 0);
      if (ended.place !== undefined) killedIn.push(ended.place);
    }
    const last = await train(run);
    expect(last.done, last.output).to.equal(true);
    expect(last.from).to.equal(saved);

    if (kills >= 20) for (const place of [...endOfEpoch, ...places]) expect(killedIn.join(', ')).to.include(place);
    expect(killedIn.length).to.be.at.least(Math.floor((2 * kills) / 3));
    const { manifest, previous } = checkpointFiles;
    expect((await readdir(run.out)).filter((name) => name.endsWith('.tmp'))).to.deep.equal([]);
    expect(await outcome(run.out)).to.deep.equal(await outcome(whole.out));
    const { files } = JSON.parse(await readFile(join(run.out, manifest), 'utf8')) as RunManifest;
    expect(Object.keys(files)).to.include(previous);
    for (const [name, one] of Object.entries(files))
      expect(one.sha256, name).to.equal(sha256(await readFile(join(run.out, name))));
  });
});
