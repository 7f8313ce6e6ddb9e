import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { withFolder } from '../../helpers/photos.ts';
import { swiftShader } from './backends.ts';
import type { Long, Numbers, Request, Trained } from './resident-child.ts';

type Answer = { readonly answer?: unknown; readonly failure?: string };

const numbersOf = ({ params, buffers, moments, step }: Numbers): Numbers => ({ params, buffers, moments, step });

describe('training on WebGPU in Node with its numbers staying there', function () {
  // A software device on a busy machine.
  this.timeout(300_000);
  let child: ChildProcess;
  let hosted: Trained;

  const heard = async (): Promise<Answer> => {
    const ended = once(child, 'exit').then(([code]) => ({ failure: `its process ended with ${code}` }));
    return Promise.race([once(child, 'message').then(([message]) => message as Answer), ended]);
  };

  async function ask<T>(name: Request['name'], argument = ''): Promise<T> {
    child.send({ name, argument });
    const { answer, failure } = await heard();
    if (failure !== undefined) throw new Error(failure);
    return answer as T;
  }

  before(async function () {
    const driver = existsSync(swiftShader) ? { VK_DRIVER_FILES: swiftShader } : {};
    const env = { ...driver, ...process.env };
    child = fork(join(import.meta.dirname, 'resident-child.js'), { env, stdio: 'ignore', serialization: 'advanced' });
    const { failure } = await heard();
    if (failure === undefined) {
      hosted = await ask<Trained>('hosted');
      return;
    }
    console.log(`    skipped, no WebGPU device: ${failure.split('\n', 1)[0]}`);
    this.skip();
  });
  after(() => void child.kill());

  it('a learner on a WebGPU session does it by itself, and ends with the bits of one whose numbers travel', async () => {
    const resident = await ask<Trained>('resident');
    expect(hosted.live.every((count) => count === 0)).to.equal(true);
    // Three spans (with decay, without, of the norm): parameters, gradients, two moments each; and the buffers.
    expect([...new Set(resident.live)]).to.deep.equal([3 * 4 + 1]);
    expect(resident.liveAfter).to.equal(0);
    expect(resident.losses).to.deep.equal(hosted.losses);
    expect(resident.losses.length).to.be.above(8);
    expect(numbersOf(resident)).to.deep.equal(numbersOf(hosted));
  });

  it('a callback sees the newest numbers, and what it changes counts', async () => {
    const there = await ask<Trained>('resident, meddled with');
    const here = await ask<Trained>('hosted, meddled with');
    expect(there.losses).to.deep.equal(here.losses);
    expect(numbersOf(there)).to.deep.equal(numbersOf(here));
    expect(there.params).to.not.deep.equal(hosted.params);
  });

  it('what is frozen stays as it is', async () => {
    const there = await ask<Numbers & { gradients: Float32Array }>('resident, head first');
    expect(there).to.deep.equal(await ask('hosted, head first'));
    expect(there.gradients.some((value) => value === 0) && there.gradients.some((value) => value !== 0)).to.equal(true);
  });

  it('stopped twice and resumed from its checkpoints, it ends with the bits of a run that was not', () =>
    withFolder(async (folder) => {
      const resumed = await ask<Trained>('resumed', join(folder, 'run'));
      expect(numbersOf(resumed)).to.deep.equal(numbersOf(hosted));
    }));

  it('a memory opens its graphs as the sessions that it belongs to, with their threads, spinning and strictness', async () => {
    expect(await ask<readonly boolean[]>('sharing')).to.deep.equal([true, false, false, false]);
  });

  it('memory is flat over 1 000 steps', async () => {
    const { live, liveAfter, rss, replaced, losses } = await ask<Long>('long', '1000');
    expect(live.length).to.equal(1000);
    expect(new Set(live).size, `tensors on the device: ${[...new Set(live)]}`).to.equal(1);
    expect(liveAfter).to.equal(0);
    // 700 steps replace 400 MB.
    expect(700 * replaced).to.be.above(4e8);
    expect(rss[1] - rss[0]).to.be.below(4e7);
    expect(losses.at(-1)!).to.be.below(0.01 * losses[0]!);
  });
});
