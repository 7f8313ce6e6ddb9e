import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { splitByPrefix } from '../../training/learner/groups.ts';
import { createLearner, type Learner, type LearnerOptions } from '../../training/learner/learner.ts';
import { accuracy } from '../../training/learner/metrics.ts';
import type { Callback } from '../../training/loop/fit-loop.ts';
import { dropout } from '../../training/nn/layers.ts';
import { crossEntropyLoss } from '../../training/nn/losses.ts';
import { adam, adamw } from '../../training/optim/optimizers.ts';
import { checkpointFiles, type RunManifest } from '../../training/runs/checkpoint.node.ts';
import { csvLog, tensorBoard } from '../../training/runs/logs.node.ts';
import { type RunFolderOptions, runFolder } from '../../training/runs/run-folder.node.ts';
import { decodeSafetensors } from '../../training/weights/safetensors.ts';
import { readEvents } from '../helpers/event-reader.ts';
import { demanding, spiralLoader, spiralNet, spiralOptions, spirals } from '../helpers/tiny-tasks.ts';

const stopAt = (epoch: number, batch: number): Callback => ({
  name: 'stopAt',
  afterBatch: ({ progress, stop }) => {
    if (progress.epoch === epoch && progress.batch === batch) stop();
  },
});

const labelSmoothed: LearnerOptions['loss'] = (p, y) => crossEntropyLoss(p, y, { labelSmoothing: 0.1 });

const failureOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'no error',
    (error: unknown) => String(error),
  );

/** All that a training decides. */
const numbers = ({ history, state }: Learner) => ({
  rows: history.rows.map(({ seconds: _, ...row }) => row),
  series: history.series,
  params: [...state.params],
  buffers: [...state.buffers],
  moments: state.moments.map((one) => [...one]),
  step: state.step,
});

describe('runs of a Learner that are kept', function () {
  this.timeout(60_000);
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fettle-learner-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function run(name: string, callbacks: Callback[], options: RunFolderOptions = {}): Promise<Learner> {
    const learner = await createLearner(spiralOptions(demanding()));
    try {
      await learner.fitOneCycle(4, 0.02, {
        callbacks,
        store: runFolder(join(folder, name), { intervalS: 0, ...options }),
      });
    } finally {
      await learner.close();
    }
    return learner;
  }

  it('stopped twice and resumed, it ends with the bits of a run that was not', async () => {
    const whole = await run('whole', []);
    // The second place lies between two batches of one update: what was gathered there is lost and made again.
    await run('parts', [stopAt(1, 3)]);
    await run('parts', [stopAt(2, 5)]);
    const parts = await run('parts', []);
    expect(numbers(whole).step).to.equal(12);
    expect(numbers(parts)).to.deep.equal(numbers(whole));
  });

  it('fineTune, interrupted in either phase and given again, ends with the bits of one that was not', async () => {
    const phases = splitByPrefix(['body', 'norm'], ['middle']);
    const tune = async (name: string, callbacks: Callback[] = []): Promise<Learner> => {
      const learner = await createLearner(spiralOptions({ ...demanding(), splitter: phases, seed: 3 }));
      const store = runFolder(join(folder, name), { intervalS: 0 });
      try {
        await learner.fineTune(2, { baseLr: 0.02, freezeEpochs: 2, store, callbacks });
      } finally {
        await learner.close();
      }
      return learner;
    };
    /** Throws in a batch of the phase in which the first group is `frozen`. */
    const breakIn = (frozen: boolean, epoch: number, batch: number): Callback => ({
      name: 'breakIn',
      order: 200,
      afterBatch: ({ state, progress }) => {
        const still = state.gradTensors.get('body.weight')!.data.every((value) => value === 0);
        if (still === frozen && progress.epoch === epoch && progress.batch === batch) throw new Error('broken');
      },
    });
    const whole = await tune('whole');
    for (const where of [breakIn(true, 0, 4), breakIn(true, 1, 7), breakIn(false, 0, 3), breakIn(false, 1, 6)])
      expect(await failureOf(tune('parts', [where]))).to.include('broken');
    let batches = 0;
    const parts = await tune('parts', [{ name: 'count', afterBatch: () => void batches++ }]);
    // From the last update before the break, the sixth batch of the last epoch.
    expect(batches).to.equal(2);
    expect(numbers(parts)).to.deep.equal(numbers(whole));
    expect((await readdir(join(folder, 'parts'))).sort()).to.deep.equal(['all', 'head']);
  });

  it('a finished run is not trained again', async () => {
    const first = await run('done', []);
    let batches = 0;
    const notes: string[] = [];
    const note = { onNote: (text: string) => void notes.push(text) };
    const again = await run('done', [{ name: 'count', afterBatch: () => void batches++ }], note);
    expect(batches).to.equal(0);
    expect(notes).to.deep.equal([
      `${join(folder, 'done')}: this run is finished (4 of 4 epochs): nothing was trained, its weights and numbers are those of then; resume: false starts anew`,
    ]);
    expect([...again.state.params]).to.deep.equal([...first.state.params]);
  });

  it('other settings than those of the run are refused', async () => {
    await run('other', [stopAt(0, 3)]);
    const learner = await createLearner(spiralOptions(demanding()));
    const failure = await failureOf(learner.fitOneCycle(5, 0.02, { store: runFolder(join(folder, 'other')) }));
    expect(failure).to.match(/epochs was 4, is 5/);
    await learner.close();
  });

  it('a run of another learner is refused, in words that say which', async () => {
    const plain = { metrics: [accuracy()], splitter: splitByPrefix(['body', 'norm'], ['middle']) };
    const begin = async (options: Partial<LearnerOptions>, callbacks: Callback[], wd?: number): Promise<void> => {
      const learner = await createLearner(spiralOptions(options));
      const store = runFolder(join(folder, 'own'), { intervalS: 0 });
      await learner.fitOneCycle(3, 0.02, { callbacks, store, ...(wd === undefined ? {} : { wd }) }).finally(() => {
        return learner.close();
      });
    };
    await begin(plain, [stopAt(0, 3)]);
    const { data } = spiralOptions();
    const smaller = { ...data, train: spiralLoader(spirals(500, 1), 32, 1) };
    const others: readonly (readonly [Partial<LearnerOptions>, RegExp])[] = [
      [{ wd: 0.1 }, /\(weight decay was 0.01, is 0.1\)/],
      [{ hyper: { beta2: 0.9 } }, /\(hyper.beta2 was 0.99, is 0.9\)/],
      [{ optimizer: adam }, /\(optimizer was "adamw", is "adam"\)/],
      [{ wdNormBias: true }, /\(weight decay of norms and biases was false, is true\)/],
      [{ moms: [0.9, 0.8, 0.9] }, /\(settings.moms was /],
      [{ trainBn: false }, /\(training of frozen norms was true, is false\)/],
      [{ splitter: () => 0 }, /\(parameter groups was 3, is 1\)/],
      [{ metrics: [] }, /\(metrics: 1 gone: accuracy\)/],
      [{ seed: 2 }, /\(seed was 1, is 2\)/],
      [{ data: smaller }, /\(batches per epoch was 8, is 16; batch.x was "float32\[64,2\]", is "float32\[32,2\]"/],
      [
        { loss: labelSmoothed },
        /\(the graph of model and loss is another \(.*this version of fettle builds it otherwise/,
      ],
      [{ model: (scope, x) => spiralNet(scope, dropout(scope, x, 0.1)) }, /\(the graph of model and loss is another/],
    ];
    for (const [options, text] of others) expect(await failureOf(begin({ ...plain, ...options }, []))).to.match(text);
    expect(await failureOf(begin(plain, [], 0.2))).to.match(/\(weight decay was 0.01, is 0.2\)/);
    // What is said by default and what is given as such are one.
    await begin({ ...plain, wd: 0.01, optimizer: adamw, hyper: { beta2: 0.99 } }, []);
  });

  it('given again in the same learner after a failure, it continues as in a new one', async () => {
    const whole = await run('whole', []);
    const learner = await createLearner(spiralOptions(demanding()));
    const train = (callbacks: Callback[]): Promise<unknown> =>
      learner.fitOneCycle(4, 0.02, { callbacks, store: runFolder(join(folder, 'again'), { intervalS: 0 }) });
    for (const [epoch, batch] of [
      [1, 4],
      [2, 6],
    ] as const) {
      const broken: Callback = {
        name: 'broken',
        order: 200,
        afterBatch: ({ progress }) => {
          if (progress.epoch === epoch && progress.batch === batch) throw new Error('broken');
        },
      };
      expect(await failureOf(train([broken]))).to.include('broken');
    }
    await train([]);
    expect(numbers(learner)).to.deep.equal(numbers(whole));
    await learner.close();
  });

  it('a best metric that is not measured is refused; without validation the training loss decides', async () => {
    const wrong = { best: { metric: 'acuracy', higher: true } };
    expect(await failureOf(run('wrong', [], wrong))).to.match(
      /best.metric: expected one of train_loss, valid_loss, accuracy, got acuracy; did you mean accuracy\?/,
    );
    const learner = await createLearner(spiralOptions({ data: { train: spiralLoader(spirals(100, 1), 50) } }));
    await learner.fit(2, 0.01, { store: runFolder(join(folder, 'alone')) });
    await learner.close();
    const { metadata } = decodeSafetensors(await readFile(join(folder, 'alone', checkpointFiles.best)), 'best');
    expect(metadata.train_loss).to.match(/^\d/);
  });

  it('a folder serves one run at a time, and is free again when the run has failed', async () => {
    const failing: Callback = {
      name: 'failing',
      afterBatch: async () => {
        const other = await failureOf(run('shared', []));
        throw new Error(`the other run: ${other}`);
      },
    };
    const failure = await failureOf(run('shared', [failing]));
    expect(failure)
      .to.include(`the other run: FettleError`)
      .and.to.include(join(folder, 'shared'))
      .and.to.include(`held by process ${process.pid}`);
    await run('shared', []);
    expect(await readdir(join(folder, 'shared'))).not.to.include('run.lock');
  });

  it('keeps the best and the last epochs, with their hashes in the manifest', async () => {
    await run('kept', [], { keep: 2 });
    const names = (await readdir(join(folder, 'kept'))).sort();
    expect(names).to.have.members([
      checkpointFiles.best,
      checkpointFiles.latest,
      checkpointFiles.previous,
      checkpointFiles.manifest,
      'epoch-002.safetensors',
      'epoch-003.safetensors',
    ]);
    const manifest = JSON.parse(await readFile(join(folder, 'kept', 'manifest.json'), 'utf8')) as RunManifest;
    expect(manifest).to.include({ format: 'fettle-run-1', epoch: 4, batch: 0 });
    expect(Object.keys(manifest.files)).to.have.members(names.filter((name) => name.endsWith('.safetensors')));
    for (const [name, { sha256, sizeBytes }] of Object.entries(manifest.files)) {
      const bytes = await readFile(join(folder, 'kept', name));
      expect(createHash('sha256').update(bytes).digest('hex'), name).to.equal(sha256);
      expect(bytes.length).to.equal(sizeBytes);
    }
  });

  it('a damaged checkpoint is skipped for the one before it', async () => {
    await run('damaged', [stopAt(2, 6)]);
    const path = join(folder, 'damaged', checkpointFiles.latest);
    const bytes = await readFile(path);
    bytes[bytes.length - 9]! ^= 1;
    await writeFile(path, bytes);
    const notes: string[] = [];
    const resumed = await run('damaged', [], { onNote: (text) => void notes.push(text) });
    expect(notes.join()).to.include('damaged');
    expect([...resumed.state.params]).to.deep.equal([...(await run('whole', [])).state.params]);
  });

  it('logs of both phases of fineTune follow each other, in folders that are made', async () => {
    const [csv, logs] = [join(folder, 'new', 'deep', 'history.csv'), join(folder, 'new', 'logs')];
    const learner = await createLearner(
      spiralOptions({
        splitter: splitByPrefix(['body', 'norm'], ['middle']),
        callbacks: [csvLog(csv), tensorBoard(logs)],
      }),
    );
    const rows = await learner.fineTune(2, { freezeEpochs: 2 });
    await learner.close();
    const lines = (await readFile(csv, 'utf8')).trim().split('\n').slice(1);
    expect(lines.map((line) => line.split(',')[0])).to.deep.equal(['0', '1', '2', '3']);
    lines.forEach((line, i) => {
      expect(Number(line.split(',')[1])).to.be.closeTo(rows[i]!.trainLoss, 1e-4);
    });
    const files = await readdir(logs);
    expect(files).to.have.length(1);
    const events = readEvents(await readFile(join(logs, files[0]!))).filter(({ scalars }) => 'train/loss' in scalars);
    expect(events.map(({ step }) => step)).to.deep.equal(Array.from({ length: 32 }, (_, i) => i + 1));
  });

  it('writes CSV and TensorBoard logs that read back', async () => {
    const learner = await createLearner(
      spiralOptions({
        metrics: [accuracy()],
        callbacks: [csvLog(join(folder, 'history.csv')), tensorBoard(join(folder, 'logs'))],
      }),
    );
    const rows = await learner.fit(2, 0.01);
    await learner.close();
    const [header, first, second, end] = (await readFile(join(folder, 'history.csv'), 'utf8')).split('\n');
    expect(header).to.equal('epoch,train_loss,valid_loss,accuracy,seconds');
    expect([first, second].map((line) => line!.split(',')[0])).to.deep.equal(['0', '1']);
    expect(Number(second!.split(',')[3])).to.be.closeTo(rows[1]!.metrics.accuracy!, 1e-4);
    expect(end).to.equal('');
    const [file] = await readdir(join(folder, 'logs'));
    expect(file).to.match(/^events\.out\.tfevents\.\d+\./);
    const events = readEvents(await readFile(join(folder, 'logs', file!)));
    expect(events[0]!.version).to.equal('brain.Event:2');
    const losses = events.filter(({ scalars }) => 'train/loss' in scalars);
    expect(losses.map(({ step }) => step)).to.deep.equal(Array.from({ length: 16 }, (_, i) => i + 1));
    expect(losses.map(({ scalars }) => scalars['train/loss'])).to.deep.equal(
      learner.history.series.loss!.map(Math.fround),
    );
    const valid = events.filter(({ scalars }) => 'valid/accuracy' in scalars);
    expect(valid.map(({ step, scalars }) => [step, scalars['valid/accuracy']])).to.deep.equal(
      rows.map(({ metrics }, i) => [8 * (i + 1), Math.fround(metrics.accuracy!)]),
    );
  });
});
