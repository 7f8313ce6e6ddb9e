import { expect } from 'chai';
import sharp, { type Sharp } from 'sharp';
import type { ModelsBody } from '../../server/contract.ts';
import type { RunningServer } from '../../server/main.ts';
import type { ClassifyBody } from '../../tasks/classify/contract.ts';
import { type Bench, createBench, errorOf, flat, meanColour, send } from './harness.ts';

const plain = (background: string, channels: 3 | 4 = 3): Sharp =>
  sharp({ create: { width: 50, height: 30, channels, background } }).png();

describe('server: POST /v1/classify', function () {
  this.timeout(60_000);
  let bench: Bench;
  let server: RunningServer;
  before(async () => {
    bench = await createBench();
    await bench.publishFor('classify');
    server = await bench.start();
  });
  after(() => bench.end());

  async function labelsOf(bytes: Uint8Array, query = ''): Promise<ClassifyBody['labels']> {
    const response = await send('classify', server.url, bytes, query);
    expect(response.headers.get('content-type')).to.match(/^application\/json/);
    const body = (await response.json()) as ClassifyBody;
    expect([response.status, Object.keys(body)], JSON.stringify(body)).to.deep.equal([200, ['labels']]);
    return body.labels;
  }

  it('answers the likeliest labels first, with probabilities that add up', async () => {
    const labels = await labelsOf(await plain('#1040c0').toBuffer());
    expect(labels.map(({ label }) => label)).to.deep.equal(['blue', 'green', 'red']);
    const logits = [0xc0, 0x40, 0x10].map((value) => Math.exp((10 * value) / 255));
    const sum = logits.reduce((total, value) => total + value);
    labels.forEach(({ probability }, i) => {
      expect(probability).to.be.closeTo(logits[i]! / sum, 1e-5);
    });
  });

  it('gives as many as asked for, and all where there are fewer', async () => {
    const bytes = await plain('#c01040').toBuffer();
    expect((await labelsOf(bytes, '?top=1')).map(({ label }) => label)).to.deep.equal(['red']);
    expect(await labelsOf(bytes, '?top=2')).to.have.length(2);
    expect(await labelsOf(bytes, '?top=100')).to.have.length(3);
  });

  it('takes JPEG, grey and transparent pictures', async () => {
    const jpeg = await plain('#10c040').jpeg().toBuffer();
    expect((await labelsOf(jpeg))[0]?.label).to.equal('green');
    const grey = await labelsOf(
      await sharp(await flat(9, 9))
        .toColourspace('b-w')
        .png()
        .toBuffer(),
    );
    expect(Math.max(...grey.map(({ probability }) => probability))).to.be.closeTo(1 / 3, 1e-5);
    const hidden = await labelsOf(await plain('rgba(255, 0, 0, 0)', 4).toBuffer());
    expect(Math.max(...hidden.map(({ probability }) => probability))).to.be.closeTo(1 / 3, 1e-5);
  });

  it('says which model answered and how long it took', async () => {
    const response = await send('classify', server.url, await flat(20, 10));
    expect(response.headers.get('x-model')).to.equal('classify@1');
    expect(response.headers.get('server-timing')).to.match(/^queue;dur=[\d.]+, decode;.*model;.*encode;/);
    expect(response.headers.get('cache-control')).to.equal('no-store');
  });

  it('is listed with what the browser needs to run it', async () => {
    const { models } = (await (await fetch(`${server.url}/v1/models`)).json()) as ModelsBody;
    expect(
      models.map(({ name, active, ...rest }) => ({ name, active, classify: 'classify' in rest && rest.classify })),
    ).to.deep.equal([{ name: 'classify', active: true, classify: meanColour().spec }]);
  });

  it('refuses queries with the field named, and what is no picture', async () => {
    const bytes = await flat(20, 10);
    for (const [query, field] of [
      ['?top=0', 'top'],
      ['?top=101', 'top'],
      ['?top=1.5', 'top'],
      ['?top=1&top=2', 'top'],
      ['?output=json', 'output'],
    ] as const) {
      const { code, message } = await errorOf(await send('classify', server.url, bytes, query), 400);
      expect([code, message.includes(field)], query).to.deep.equal(['bad-query', true]);
    }
    await errorOf(await send('classify', server.url, Buffer.from('no picture')), 415);
    await errorOf(await send('classify', server.url, await flat(8000, 5001)), 413);
  });
});

describe('server: models that cannot do their task', function () {
  this.timeout(60_000);
  let bench: Bench;
  beforeEach(async () => {
    bench = await createBench();
  });
  afterEach(() => bench.end());

  it('a classifier with another number of classes does not load; the server says so and is not ready', async () => {
    const { model, spec } = meanColour();
    await bench.publish();
    await bench.publishFor('classify', { model, spec: { ...spec, classes: ['red', 'green'] } });
    const server = await bench.start();
    const ready = await fetch(`${server.url}/health/ready`);
    expect([ready.status, await ready.json()]).to.deep.equal([
      503,
      { status: 'unavailable', reason: 'classify@1 did not load; the log has the reason' },
    ]);
    const { message } = await errorOf(await send('classify', server.url, await flat(20, 10)), 503);
    expect(message).to.match(/cannot classify yet: classify@1 did not load/);
    expect((await send('restore', server.url, await flat(20, 10))).status).to.equal(200);
    await bench.publishFor('classify');
    for (let status = 503; status !== 200; ) status = (await fetch(`${server.url}/health/ready`)).status;
    expect((await send('classify', server.url, await flat(20, 10))).headers.get('x-model')).to.equal('classify@2');
  });
});
