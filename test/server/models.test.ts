import { expect } from 'chai';
import type { ModelsBody } from '../../server/contract.ts';
import type { RunningServer } from '../../server/main.ts';
import type { ClassifyBody } from '../../tasks/classify/contract.ts';
import type { GenerateBody } from '../../tasks/text/contract.ts';
import { publishText, tinyTextModel } from '../helpers/text-model.ts';
import { type Bench, createBench, errorOf, flat, meanColour, send, until } from './harness.ts';

describe('server: models by name', function () {
  this.timeout(60_000);
  let bench: Bench;
  let server: RunningServer;
  let picture: Buffer;
  before(async () => {
    bench = await createBench();
    picture = await flat(20, 10);
    const { model, spec } = meanColour();
    await bench.publish();
    await bench.publishFor('classify', { model, spec });
    await bench.publishFor('classify', { model, spec: { ...spec, classes: ['x', 'y', 'z'] } }, 'letters');
    await bench.publishFor('classify', { model, spec: { ...spec, classes: ['a', 'b', 'c'] } }, 'letters');
    await publishText(bench.store, tinyTextModel(1));
    await publishText(bench.store, tinyTextModel(2), 'verse');
    server = await bench.start({ niceness: 0 });
  });
  after(() => bench.end());

  const classify = (query: string): Promise<Response> => send('classify', server.url, picture, query);
  const post = (path: string, body: object): Promise<Response> =>
    fetch(server.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt: 'The cat', ...body }),
    });

  it('lists all that are loaded', async () => {
    const { models } = (await (await fetch(`${server.url}/v1/models`)).json()) as ModelsBody;
    expect(models.map(({ name, task, version, active }) => [name, task, version, active])).to.deep.equal([
      ['classify', 'classify', 1, true],
      ['letters', 'classify', 2, true],
      ['restore', 'restore', 1, true],
      ['text', 'text', 1, true],
      ['verse', 'text', 1, true],
    ]);
  });

  it('the model named like the task answers, or the one that is asked for', async () => {
    for (const [query, key, label] of [
      ['', 'classify@1', 'red'],
      ['?model=classify', 'classify@1', 'red'],
      ['?model=letters', 'letters@2', 'a'],
      ['?model=letters@2&top=3', 'letters@2', 'a'],
    ] as const) {
      const response = await classify(query);
      expect([response.status, response.headers.get('x-model')], query).to.deep.equal([200, key]);
      const { labels } = (await response.json()) as ClassifyBody;
      expect(labels.map((one) => one.label)).to.include(label);
    }
  });

  it('refuses other models before the picture is read, with what to do', async () => {
    for (const [query, status, code, text] of [
      ['?model=none', 404, 'model-not-found', /none; fettle models use none@VERSION makes a version active/],
      [
        '?model=restore',
        404,
        'model-not-found',
        /of the task classify \(classify, letters\), got restore, .* task restore/,
      ],
      [
        '?model=letters@1',
        409,
        'model-not-active',
        /letters or letters@2.*; fettle models use letters@1 makes it active/,
      ],
      ['?model=Letters', 404, 'model-not-found', /expected NAME or NAME@VERSION, got Letters/],
      ['?model=letters&model=classify', 400, 'bad-query', /^model: expected NAME/],
    ] as const) {
      const { code: got, message } = await errorOf(await classify(query), status);
      expect([got, text.test(message)], message).to.deep.equal([code, true]);
      const early = await fetch(`${server.url}/v1/classify${query}`, { method: 'POST', body: 'no form' });
      expect(early.status).to.equal(status);
    }
    expect(server.inFlight()).to.equal(0);
  });

  it('texts are written by the model of the body, else of the query; OpenAI has its own code', async () => {
    for (const [path, body, key] of [
      ['/v1/generate', {}, 'text@1'],
      ['/v1/generate', { model: 'verse' }, 'verse@1'],
      ['/v1/generate?model=verse@1', {}, 'verse@1'],
      ['/v1/generate?model=verse', { model: 'text' }, 'text@1'],
      ['/v1/completions', { model: 'verse' }, 'verse@1'],
      ['/v1/completions', { model: 'text@1' }, 'text@1'],
    ] as const) {
      const response = await post(path, body);
      const answer = (await response.json()) as Pick<GenerateBody, 'model'>;
      expect([response.status, response.headers.get('x-model'), answer.model]).to.deep.equal([200, key, key]);
    }
    expect((await errorOf(await post('/v1/generate', { model: 'verse@7' }), 409)).code).to.equal('model-not-active');
    expect((await errorOf(await post('/v1/generate', { model: 7 }), 400)).message).to.match(/^model: /);
    for (const model of ['classify', 'verse@7', 'gpt-4']) {
      const response = await post('/v1/completions', { model });
      const { error } = (await response.json()) as { readonly error: { readonly code: string; readonly type: string } };
      expect([response.status, error.code, error.type]).to.deep.equal([
        404,
        'model_not_found',
        'invalid_request_error',
      ]);
    }
  });

  it('serves without a default: it states what can be asked for', async () => {
    const other = await createBench();
    try {
      await other.publishFor('classify', meanColour(), 'letters');
      const { url } = await other.start();
      const { code, message } = await errorOf(await send('classify', url, picture), 503);
      expect(code).to.equal('not-ready');
      expect(message).to.match(/cannot classify yet: there is no classify model; .*; or ask for model=letters$/);
      expect((await send('classify', url, picture, '?model=letters')).status).to.equal(200);
      await other.publishFor('classify');
      await until(async () => (await send('classify', url, picture)).status === 200);
    } finally {
      await other.end();
    }
  });
});
