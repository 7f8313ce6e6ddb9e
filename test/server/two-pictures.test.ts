import { expect } from 'chai';
import type { HealthBody } from '../../server/contract.ts';
import type { RunningServer } from '../../server/main.ts';
import { type ModelStore, openStore } from '../../server/store/store.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import * as o from '../../training/ops/build.ts';
import { buildInference } from '../../training/step/train-step.ts';
import { type CompareBody, compareContract } from '../helpers/two-pictures/served.ts';
import { type Bench, createBench, errorOf, flat } from './harness.ts';

/** Two f32[1,1] -> their sum, and their difference as f32 of other dims where it is broken. */
function compareModel(differenceDims: readonly number[] = [1, 1]): Uint8Array {
  const inputs = (['a', 'b'] as const).map((name) => ({ name, dtype: 'float32', shape: [1, 1] }) as const);
  const graph = buildInference('compare', inputs, new Map(), (_scope, { a, b }) => ({
    sum: o.add(a!, b!),
    difference: o.reshape(o.sub(a!, b!), differenceDims),
  }));
  return toOnnx(graph);
}

describe('server: a task that takes two pictures', function () {
  this.timeout(60_000);
  let bench: Bench;
  let store: ModelStore;
  let server: RunningServer;
  let picture: Buffer;
  before(async () => {
    bench = await createBench();
    store = openStore({ zooDir: `${bench.dir}/zoo`, storeDir: `${bench.dir}/store`, tasks: [compareContract] });
    await publish(compareModel());
    picture = await flat(40, 30);
    server = await bench.start({ tasks: new URL('../helpers/two-pictures/served.js', import.meta.url) });
  });
  after(() => bench.end());

  async function publish(model: Uint8Array): Promise<void> {
    const facts = {
      name: 'compare',
      task: 'compare',
      createdAt: new Date(0).toISOString(),
      description: '',
      metrics: {},
    };
    const compare = { content: 'a', style: 'b', sum: 'sum', difference: 'difference' };
    const { config } = await store.register('compare', { 'model.onnx': model, 'card.md': '#' }, { ...facts, compare });
    await store.use('compare', config.version);
  }

  const ask = (...files: readonly (readonly [name: string, bytes: Uint8Array])[]): Promise<Response> => {
    const body = new FormData();
    for (const [name, bytes] of files) body.append(name, new Blob([bytes as Uint8Array<ArrayBuffer>]), name);
    return fetch(`${server.url}/v1/compare`, { method: 'POST', body });
  };

  it('takes the files by the names of its inputs, in any order, the optional one or not', async () => {
    const grey = 0x77 / 255;
    const both = (await (await ask(['style', picture], ['image', picture])).json()) as CompareBody;
    expect(both.sum).to.be.closeTo(2 * grey, 1e-6);
    expect([both.difference, both.files]).to.deep.equal([0, ['image', 'style']]);
    const all = (await (await ask(['image', picture], ['mask', picture], ['style', picture])).json()) as CompareBody;
    expect(all.files).to.deep.equal(['image', 'style', 'mask']);
  });

  it('refuses a missing, a second and an unknown file, and names the one that is no picture', async () => {
    const missing = await errorOf(await ask(['image', picture]), 400);
    expect(missing).to.deep.equal({ code: 'bad-upload', message: 'expected a file in the field style, got none' });
    const twice = await errorOf(await ask(['image', picture], ['style', picture], ['style', picture]), 400);
    expect(twice.message).to.match(/^expected one file in each of the fields image, style, mask and nothing else, got/);
    expect((await errorOf(await ask(['image', picture], ['texture', picture]), 400)).code).to.equal('bad-upload');
    const cut = await errorOf(await ask(['image', picture], ['style', picture.subarray(0, 20)]), 400);
    expect([cut.code, cut.message.split(':')[0]]).to.deep.equal(['bad-image', 'style']);
  });

  it('tries out all outputs of a model before it serves', async () => {
    await publish(compareModel([1]));
    const plain = await bench.start({ tasks: new URL('../helpers/two-pictures/served.js', import.meta.url) });
    const { reason } = (await (await fetch(`${plain.url}/health/ready`)).json()) as HealthBody;
    expect(reason).to.equal('compare@2 did not load; the log has the reason');
    expect((await ask(['image', picture], ['style', picture])).headers.get('x-model')).to.equal('compare@1');
  });
});
