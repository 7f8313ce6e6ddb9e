import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import sharp from 'sharp';
import { ApiError, createClient, modelFor } from '../../client/api.ts';
import { makeStore, startTestServer, type TestServer, type TestStore, testPhoto } from './setup.ts';

/** What a promise was rejected with; fails where it was not. */
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.fail('expected a rejection'),
    (error: unknown) => error,
  );

describe('typed client in Node', () => {
  let store: TestStore;
  let server: TestServer;
  let photo: Blob;

  before(async () => {
    store = await makeStore();
    server = await startTestServer(store.dir);
    photo = new Blob([new Uint8Array(await testPhoto(40, 30))]);
  });

  after(async () => {
    await server.kill();
    await store.remove();
  });

  it('restores a photo', async () => {
    const client = createClient({ baseUrl: `${server.url}/` });
    const { image, model, requestId, frames } = await client.restore(photo, { scale: 2, format: 'jpeg', quality: 80 });
    expect({ model, frames }).to.deep.equal({ model: 'restore@1', frames: 1 });
    expect(requestId).to.match(/^[\w-]{36}$/);
    const { width, height, format } = await sharp(Buffer.from(await image.arrayBuffer())).metadata();
    expect({ width, height, format }).to.deep.equal({ width: 80, height: 60, format: 'jpeg' });
  });

  it('posts to the route of any task, to the model that is named', async () => {
    const client = createClient({ baseUrl: server.url });
    const { body, ...facts } = await client.post('/v1/restore', photo, { scale: 2 }, { model: 'restore@1' });
    const { requestId: _, image, ...same } = await client.restore(photo, { scale: 2 });
    expect(facts).to.include(same);
    expect(Buffer.from(await body.arrayBuffer())).to.deep.equal(Buffer.from(await image.arrayBuffer()));
    const refused = client.restore(photo, { model: 'none-such' });
    expect(await failure(refused)).to.include({ status: 404, code: 'model-not-found' });
  });

  it('lists models and gets their files', async () => {
    const client = createClient({ baseUrl: server.url });
    const model = modelFor(await client.models(), 'restore');
    const file = await client.modelFile(model, 'model.onnx');
    const bytes = Buffer.from(await file.arrayBuffer());
    expect(bytes.equals(await readFile(`${store.dir}/restore/1/model.onnx`))).to.equal(true);
    expect(() => modelFor([], 'restore')).to.throw('expected a model for restore, got none');
  });

  it('names what is missing or unknown of its options', async () => {
    expect(() => createClient()).to.throw(
      "createClient: expected baseUrl, the address of the server, got none outside of a page; e.g. createClient({ baseUrl: 'http://localhost:8080' })",
    );
    expect(() => createClient({ baseUrl: 'localhost:8080' })).to.throw(
      'to begin with http:// or https:// outside of a page',
    );
    const mistyped = { baseURL: server.url } as Parameters<typeof createClient>[0];
    expect(() => createClient(mistyped)).to.throw('got baseURL; did you mean baseUrl?');
    const client = createClient({ baseUrl: server.url });
    const unknown = { scales: 2 } as Parameters<typeof client.restore>[1];
    expect(await failure(client.restore(photo, unknown))).to.include({ code: 'bad-argument' });
    expect(await failure(client.segment(photo, unknown))).to.include({ code: 'bad-argument' });
    expect(await failure(client.segmentImage(photo, 'mask', unknown))).to.include({ code: 'bad-argument' });
    expect(await failure(client.classify(photo, unknown))).to.include({ code: 'bad-argument' });
  });

  it('throws what the server answers, with its code', async () => {
    const error = await failure(createClient({ baseUrl: server.url }).restore(new Blob(['no picture'])));
    expect(error).to.be.instanceOf(ApiError).and.to.include({ status: 415, code: 'unsupported-image', isAway: false });
    expect((error as ApiError).requestId).to.match(/^[\w-]{36}$/);
  });

  it('tells a server that is away from one that refuses', async () => {
    const client = createClient({ baseUrl: 'http://127.0.0.1:9' });
    expect(await failure(client.restore(photo))).to.include({ status: 0, code: 'unreachable', isAway: true });
    expect(await client.health()).to.equal('away');
    expect(await createClient({ baseUrl: server.url }).health()).to.equal('ready');
  });

  it('stops when it is asked to', async () => {
    const error = await failure(createClient({ baseUrl: server.url }).restore(photo, { signal: AbortSignal.abort() }));
    expect(error).to.include({ name: 'AbortError' });
  });
});
