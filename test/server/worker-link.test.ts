import { expect } from 'chai';
import type { Work } from '../../server/serve/worker/protocol.ts';
import { type Patience, WorkerDied, WorkerLink } from '../../server/serve/worker-link.ts';
import { until } from './harness.ts';

describe('server: the link to a worker', function () {
  this.timeout(60_000);
  const warnings: string[] = [];
  let starts = 0;
  let link: WorkerLink<Work>;
  before(() => {
    link = new WorkerLink({
      script: new URL('./odd-worker.js', import.meta.url),
      workerData: {},
      name: 'an odd worker',
      log: { warn: (_, message) => void warnings.push(message) },
      onStart: () => starts++,
    });
  });
  after(() => link.close());

  const ask = (key: string, patience: Patience = {}): Promise<unknown> =>
    link.ask({ type: 'run', job: { key }, events: false }, patience).catch((error: unknown) => error);

  it('is down until it is started, once', async () => {
    expect(await ask('echo')).to.be.instanceOf(WorkerDied);
    link.start();
    link.start();
    expect([await ask('echo'), starts]).to.deep.equal([{ key: 'echo' }, 1]);
  });

  it('answers by id, whatever is slow; silence is not measured while the thread is alive', async () => {
    const answers: unknown[] = [];
    const slow = ask('slow', { silenceMs: 1000 }).then((answer) => answers.push(answer));
    await ask('echo').then((answer) => answers.push(answer));
    await slow;
    expect([answers, starts]).to.deep.equal([[{ key: 'echo' }, { key: 'slow' }], 1]);
  });

  it('keeps no question that cannot be sent, so the thread is not ended for it', async () => {
    const job = { key: 'echo', unsendable: () => undefined };
    const failed = link.ask({ type: 'run', job, events: false }, { timeoutMs: 100 }).catch((error: unknown) => error);
    expect(await failed).to.include({ name: 'DataCloneError' });
    expect([await ask('slow'), starts]).to.deep.equal([{ key: 'slow' }, 1]);
  });

  for (const [what, key, patience] of [
    ['keeps a question too long', 'wait', { timeoutMs: 200 }],
    ['hangs', 'spin', { silenceMs: 500 }],
  ] as const) {
    it(`ends and replaces a thread that ${what}`, async () => {
      const before = starts;
      const [kept, other] = await Promise.all([ask(key, patience), ask('wait')]);
      expect(kept).to.be.instanceOf(WorkerDied);
      expect(other).to.be.instanceOf(WorkerDied);
      await until(() => starts === before + 1);
      expect(await ask('echo')).to.deep.equal({ key: 'echo' });
      expect(warnings.at(-1)).to.equal('an odd worker died and is replaced');
    });
  }

  it('is not replaced once it is closed', async () => {
    const before = starts;
    const waiting = ask('wait');
    await link.close();
    expect(await waiting).to.be.instanceOf(WorkerDied);
    link.start();
    expect([link.thread, starts]).to.deep.equal([undefined, before]);
  });
});
