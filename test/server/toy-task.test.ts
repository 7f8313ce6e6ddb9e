import { expect } from 'chai';
import sharp from 'sharp';
import type { AnyModelInfo, HealthBody, ModelsBody } from '../../server/contract.ts';
import type { RunningServer } from '../../server/main.ts';
import { type ModelStore, openStore } from '../../server/store/store.ts';
import { toOnnx } from '../../training/onnx/export.ts';
import * as o from '../../training/ops/build.ts';
import { buildInference } from '../../training/step/train-step.ts';
import type { BrightnessBody } from '../helpers/toy-task/contract.ts';
import { servedTasks } from '../helpers/toy-task/served.ts';
import { type Bench, createBench, errorOf, post, until } from './harness.ts';

const tasks = new URL('../helpers/toy-task/served.js', import.meta.url);

/** f32[1,3,16,16] -> its mean, with so many axes. */
function meanModel(outputDims: readonly number[]): Uint8Array {
  const inputs = [{ name: 'image', dtype: 'float32', shape: [1, 3, 16, 16] }] as const;
  const graph = buildInference('mean', inputs, new Map(), (_scope, { image }) => ({
    mean: o.reshape(o.reduceMean(image!, { axes: [1, 2, 3] }), outputDims),
  }));
  return toOnnx(graph);
}

describe('server: a task that is one more row of the table', function () {
  this.timeout(60_000);
  let bench: Bench;
  let store: ModelStore;
  let server: RunningServer;
  before(async () => {
    bench = await createBench();
    const dirs = { zooDir: `${bench.dir}/zoo`, storeDir: `${bench.dir}/store` };
    store = openStore({ ...dirs, tasks: servedTasks.map(({ contract }) => contract) });
    await bench.publish();
    await publish('brightness', meanModel([1, 1]));
    server = await bench.start({ tasks });
  });
  after(() => bench.end());

  async function publish(name: string, model: Uint8Array): Promise<void> {
    const config = { task: 'brightness', createdAt: new Date(0).toISOString(), description: 'a toy', metrics: {} };
    const brightness = { inputName: 'image', outputName: 'mean', side: 16 };
    const files = { 'model.onnx': model, 'card.md': '# A toy' };
    const { version } = (await store.register(name, files, { name, ...config, brightness })).config;
    await store.use(name, version);
  }

  async function measure(query = ''): Promise<Response> {
    const form = new FormData();
    const grey = sharp({ create: { width: 40, height: 30, channels: 3, background: '#333333' } });
    form.set('image', new Blob([new Uint8Array(await grey.png().toBuffer())]), 'grey.png');
    return fetch(`${server.url}/v1/brightness${query}`, { method: 'POST', body: form });
  }

  it('has its route, with the query, the headers and the errors that all have', async () => {
    const response = await measure();
    expect(response.headers.get('x-model')).to.equal('brightness@1');
    expect(response.headers.get('server-timing')).to.match(/^queue;dur=[\d.]+, decode;.*model;.*encode;/);
    const { brightness, unit } = (await response.json()) as BrightnessBody;
    expect([brightness.toFixed(3), unit]).to.deep.equal([(0x33 / 255).toFixed(3), 'share']);
    const percent = (await (await measure('?unit=percent')).json()) as BrightnessBody;
    expect(percent.brightness).to.be.closeTo(100 * brightness, 1e-4);
    const { code, message } = await errorOf(await measure('?unit=lux'), 400);
    expect([code, message]).to.deep.equal(['bad-query', 'unit: expected one of share, percent, got "lux"']);
  });

  it('is listed with what its model is fed, beside the others, which still serve', async () => {
    const { models } = (await (await fetch(`${server.url}/v1/models`)).json()) as ModelsBody<AnyModelInfo>;
    expect(models.map(({ name, task, active }) => [name, task, active])).to.deep.equal([
      ['brightness', 'brightness', true],
      ['restore', 'restore', true],
    ]);
    expect(models[0]).to.deep.include({
      inputs: [{ name: 'image', type: 'image' }],
      brightness: { inputName: 'image', outputName: 'mean', side: 16 },
    });
    const picture = await sharp({ create: { width: 9, height: 9, channels: 3, background: '#777' } })
      .png()
      .toBuffer();
    expect((await post(server.url, picture)).status).to.equal(200);
  });

  it('its models may have names of their own, and are tried out before they serve', async () => {
    await publish('dim', meanModel([1, 1]));
    await until(async () => (await measure('?model=dim')).status === 200);
    await publish('broken', meanModel([1]));
    await until(async () => (await fetch(`${server.url}/health/ready`)).status === 503);
    const { reason } = (await (await fetch(`${server.url}/health/ready`)).json()) as HealthBody;
    expect(reason).to.equal('broken@1 did not load; the log has the reason');
    expect((await measure()).status).to.equal(200);
  });

  it('without the row there is no such task: its versions are not valid', async () => {
    const plain = await bench.start();
    expect((await errorOf(await fetch(`${plain.url}/v1/brightness`, { method: 'POST' }), 404)).code).to.equal(
      'not-found',
    );
    const entry = (await bench.store.list()).find(({ name }) => name === 'brightness');
    expect(entry?.broken[0]?.reason).to.match(/^config\.json: task: expected one of restore, .*, got "brightness"$/);
  });
});
