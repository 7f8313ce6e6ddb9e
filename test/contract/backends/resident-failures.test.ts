import { expect } from 'chai';
import { f32 } from '../../../training/core/tensor.ts';
import { compileOptimizer, compileStep, type OpenGraph } from '../../../training/loop/compile.ts';
import { keepResident } from '../../../training/loop/resident.ts';
import { linear } from '../../../training/nn/layers.ts';
import { mseLoss } from '../../../training/nn/losses.ts';
import { adamw } from '../../../training/optim/optimizers.ts';
import { GpuMemory } from '../../../training/run/device-memory.ts';
import { memoryOf } from '../../../training/run/memory-of.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import { createState, initState, type TrainState } from '../../../training/step/state.ts';
import type { Task } from '../../../training/step/train-step.ts';
import { HostMemory, openerOn } from './resident-memory.ts';

/*
 * What training does with the memory of a device, on a memory that can be watched and made to fail. That the same holds on a real
 * device, bit for bit, is in resident.test.ts.
 */

const task: Task = {
  name: 'line',
  inputs: [
    { name: 'x', dtype: 'float32', shape: [2, 3] },
    { name: 'y', dtype: 'float32', shape: [2, 1] },
  ],
  forward: (scope, { x, y }) => ({ loss: mseLoss(linear(scope, x!, 1), y!) }),
};
const batch = { x: f32([2, 3], [1, 2, 3, -1, 0.5, 2]), y: f32([2, 1], [1, -1]) };

async function prepared(open: OpenGraph) {
  const step = await compileStep(task, open);
  const stateOf = (): TrainState => {
    const state = createState(step.graphs.specs, { optimizer: adamw });
    initState(state, 1);
    return state;
  };
  const state = stateOf();
  const optimizer = await compileOptimizer(adamw, state, open);
  const train = async (): Promise<number> => {
    const loss = await step.gradients(state, batch);
    await optimizer.update(state, { lr: 0.1 });
    return loss;
  };
  return { step, state, stateOf, optimizer, train };
}

const numbersOf = ({ params, moments }: TrainState) => [params, ...moments].map((one) => [...one]);

async function failure(promise: Promise<unknown>): Promise<Error> {
  const error = await promise.then(
    () => undefined,
    (reason: Error) => reason,
  );
  return error ?? expect.fail('expected a rejection');
}

describe('training on a device with memory of its own', () => {
  it('opens each graph once, and asks once per opener what memory there is', async () => {
    const [memory, opened] = [new HostMemory(), [] as Uint8Array[]];
    const { step, state, optimizer, train } = await prepared(openerOn(memory, opened));
    const there = [await train(), await train()];
    await optimizer.update(state, { lr: 0.1, maxNorm: 0.5 });
    expect(opened.length, 'the probe alone').to.equal(1);
    expect(opened[0]!.length).to.be.below(100);
    expect(memory.opened.length, 'training graph, optimiser, optimiser that clips').to.equal(3);
    const here = await prepared((model) => openSession(model, { threads: 1 }));
    expect([await here.train(), await here.train()]).to.deep.equal(there);
    await here.optimizer.update(here.state, { lr: 0.1, maxNorm: 0.5 });
    expect(numbersOf(state)).to.deep.equal(numbersOf(here.state));
    await Promise.all([step.release(), optimizer.release()]);
    expect(memory.live).to.equal(0);
  });

  it('an opener that failed is asked again', async () => {
    const memory = new HostMemory();
    let asked = 0;
    const open = async (model: Uint8Array) => {
      asked += 1;
      if (asked === 1) throw new Error('no device yet');
      return openerOn(memory)(model);
    };
    expect((await failure(memoryOf(open))).message).to.equal('no device yet');
    expect(await memoryOf(open)).to.equal(memory);
    expect(await memoryOf(open)).to.equal(memory);
    expect(asked).to.equal(2);
  });

  it('a state whose graph does not open leaves no graph that was released behind', async () => {
    const memory = new HostMemory();
    const { step, state, stateOf } = await prepared(openerOn(memory));
    const loss = await step.gradients(state, batch);
    memory.fail = (action) => {
      if (action === 'open') throw new Error('out of memory');
    };
    expect((await failure(step.gradients(stateOf(), batch))).message).to.equal('out of memory');
    memory.fail = () => {};
    expect(await step.gradients(state, batch)).to.equal(loss);
    await step.release();
    await step.release();
  });

  /** Fails at the second of the tensors that are fetched. */
  const halfway = (memory: HostMemory): void => {
    let fetched = 0;
    memory.fail = (action) => {
      if (action !== 'download') return;
      fetched += 1;
      if (fetched === 2) throw new Error('device lost');
    };
  };

  it('numbers come back all or not at all, and an error says that they did not', async () => {
    const memory = new HostMemory();
    const { state, train } = await prepared(openerOn(memory));
    const before = numbersOf(state);
    const error = await failure(
      keepResident(state, async () => {
        await train();
        halfway(memory);
      }),
    );
    expect(numbersOf(state)).to.deep.equal(before);
    expect(error).to.include({ name: 'FettleError', code: 'no-device' });
    expect(error.message).to.match(/newer than those of the state, got: device lost; continue from a checkpoint/);
    expect([memory.live, state.residence]).to.deep.equal([0, undefined]);
  });

  it('the error of a run says when the numbers of that run are gone too', async () => {
    const memory = new HostMemory();
    const { state, train } = await prepared(openerOn(memory));
    const fail = async (): Promise<void> => {
      await train();
      throw new Error('bad batch');
    };
    const before = numbersOf(state);
    const plain = await failure(keepResident(state, fail));
    expect(plain.message).to.equal('bad batch');
    const after = numbersOf(state);
    expect(after, 'fetched').to.not.deep.equal(before);
    const both = await failure(
      keepResident(state, async () => {
        halfway(memory);
        await fail();
      }),
    );
    expect(both.message).to.match(/^bad batch \(afterwards, .*device lost; continue from a checkpoint\)$/);
    expect((both.cause as Error).message).to.equal('bad batch');
    expect(numbersOf(state)).to.deep.equal(after);
  });
});

/** What `GpuMemory` needs of a session that carries a tensor, and whether it was released. */
class CarrierSession {
  readonly inputNames = ['x'];
  released = 0;
  async run({ x }: Record<string, unknown>) {
    return { y: x };
  }
  async release(): Promise<void> {
    this.released += 1;
  }
}

describe('the memory of a GPU', () => {
  class PlainTensor {
    readonly type: string;
    readonly data: Float32Array;
    readonly dims: readonly number[];
    constructor(type: string, data: Float32Array, dims: readonly number[]) {
      [this.type, this.data, this.dims] = [type, data, dims];
    }
    dispose(): void {}
  }

  it('a way to it that did not open is opened again; both ways are released with the last graph', async () => {
    const sessions: CarrierSession[] = [];
    let refuse = true;
    const memory = new GpuMemory(PlainTensor as never, async () => {
      if (refuse) throw new Error('device busy');
      sessions.push(new CarrierSession());
      return sessions.at(-1) as never;
    });
    const tensor = f32([2], [3, 4]);
    expect((await failure(memory.upload(tensor))).message).to.equal('device busy');
    refuse = false;
    const graphs = [await memory.open(new Uint8Array(), []), await memory.open(new Uint8Array(), [])];
    const back = new Float32Array(2);
    const carry = async (): Promise<void> => {
      const there = await memory.upload(tensor);
      await memory.download(there, back.fill(0));
      there.dispose();
    };
    await carry();
    await carry();
    expect([...back]).to.deep.equal([3, 4]);
    expect(sessions.length, 'two graphs, a way there, a way back').to.equal(4);
    await graphs[0]!.release();
    expect(sessions.map(({ released }) => released)).to.deep.equal([1, 0, 0, 0]);
    await graphs[1]!.release();
    expect(sessions.map(({ released }) => released)).to.deep.equal([1, 1, 1, 1]);
    await carry();
    expect([...back], 'opened once more').to.deep.equal([3, 4]);
    expect(sessions.length).to.equal(6);
  });
});
