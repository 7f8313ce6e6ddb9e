import { expect } from 'chai';
import { pino } from 'pino';
import type { RunningServer } from '../../server/main.ts';
import { createTextPool } from '../../server/serve/texts.ts';
import type { GenerateBody, GenerateEvent, GenerateRequest } from '../../tasks/text/contract.ts';
import { publishText, tinyTextModel } from '../helpers/text-model.ts';
import { type Bench, createBench, errorOf, until } from './harness.ts';

const postJson = (url: string, body: unknown, init: RequestInit = {}): Promise<Response> =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...init,
  });

/** The data of server-sent events as they come. */
async function* eventsOf(response: Response): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + chunk).split('\n\n');
    rest = parts.pop()!;
    for (const part of parts) yield part.replace(/^data: /, '');
  }
  expect(rest).to.equal('');
}

describe('server: POST /v1/generate', function () {
  this.timeout(120_000);
  let bench: Bench;
  let server: RunningServer;
  before(async () => {
    bench = await createBench();
    await publishText(bench.store);
    server = await bench.start({ niceness: 0 });
  });
  after(() => bench.end());

  const send = (body: unknown, init: RequestInit = {}): Promise<Response> =>
    postJson(`${server.url}/v1/generate`, body, init);
  const generate = async (body: GenerateRequest): Promise<GenerateBody> => {
    const response = await send(body);
    expect(response.status, await response.clone().text()).to.equal(200);
    return (await response.json()) as GenerateBody;
  };

  it('is ready with a language model alone, and lists it', async () => {
    expect((await fetch(`${server.url}/health/ready`)).status).to.equal(200);
    const { models } = (await (await fetch(`${server.url}/v1/models`)).json()) as { models: object[] };
    expect(models[0]).to.deep.include({ name: 'text', active: true, inputs: [{ name: 'prompt', type: 'text' }] });
  });

  it('writes candidates, with a seed that gives them again', async () => {
    const response = await send({ prompt: 'The cat', n: 3, maxTokens: 12 });
    expect(response.headers.get('x-model')).to.equal('text@1');
    const drawn = (await response.json()) as GenerateBody;
    expect(drawn.model).to.equal('text@1');
    expect(drawn.candidates).to.have.length(3);
    for (const { text, tokens, finishReason } of drawn.candidates) {
      expect(text).to.match(/\w/).and.not.match(/xx/);
      expect(tokens).to.be.within(1, 12);
      expect(finishReason).to.be.oneOf(['stop', 'length']);
    }
    const again = await generate({ prompt: 'The cat', n: 3, maxTokens: 12, seed: drawn.seed });
    expect(again).to.deep.equal(drawn);
    const other = await generate({ prompt: 'The cat', n: 3, maxTokens: 12 });
    expect(other.seed).to.not.equal(drawn.seed);
    expect(other.candidates).to.not.deep.equal(drawn.candidates);
  });

  it('many at once get what each gets alone', async () => {
    const requests = Array.from({ length: 24 }, (_, seed): GenerateRequest => {
      return { prompt: 'the moon and '.repeat(1 + (seed % 7)), n: 1 + (seed % 3), maxTokens: 5 + seed, seed, topK: 9 };
    });
    const together = await Promise.all(requests.map(generate));
    for (const [i, request] of requests.entries()) expect(await generate(request)).to.deep.equal(together[i]);
  });

  it('streams pieces that add up to the answer at the end', async () => {
    const request = { prompt: 'The dog', n: 2, maxTokens: 20, seed: 4, stop: 'moon' };
    const response = await send({ ...request, stream: true });
    expect(response.headers.get('content-type')).to.match(/^text\/event-stream/);
    const events: (GenerateEvent | GenerateBody)[] = [];
    for await (const data of eventsOf(response)) events.push(JSON.parse(data));
    const answer = events.pop() as GenerateBody;
    expect(answer).to.deep.equal(await generate(request));
    const [texts, tokens] = [
      ['', ''],
      [0, 0],
    ];
    for (const piece of events as GenerateEvent[]) {
      texts[piece.candidate] += piece.text;
      expect(piece.tokens).to.be.at.least(tokens[piece.candidate]!);
      tokens[piece.candidate] = piece.tokens;
    }
    expect(texts).to.deep.equal(answer.candidates.map(({ text }) => text));
    expect(events.length).to.be.above(4);
  });

  it('refuses what it cannot write, and names the field', async () => {
    for (const [body, field] of [
      [{}, 'prompt'],
      [{ prompt: '' }, 'prompt'],
      [{ prompt: ' \n' }, 'prompt'],
      [{ prompt: 7 }, 'prompt'],
      [{ prompt: ['a'] }, 'prompt'],
      [{ prompt: null }, 'prompt'],
      [{ prompt: 'a\u0000b' }, 'prompt'],
      ['{"prompt":"\\ud800"}', 'prompt'],
      [{ prompt: 'a'.repeat(8001) }, 'prompt'],
      [{ prompt: 'a', n: 0 }, 'n'],
      [{ prompt: 'a', n: 17 }, 'n'],
      [{ prompt: 'a', n: '2' }, 'n'],
      [{ prompt: 'a', maxTokens: 1001 }, 'maxTokens'],
      [{ prompt: 'a', maxTokens: 1.5 }, 'maxTokens'],
      [{ prompt: 'a', temperature: -1 }, 'temperature'],
      ['{"prompt":"a","temperature":1e999}', 'temperature'],
      [{ prompt: 'a', topP: 0 }, 'topP'],
      [{ prompt: 'a', topK: -1 }, 'topK'],
      [{ prompt: 'a', minP: 2 }, 'minP'],
      [{ prompt: 'a', repetitionPenalty: 0 }, 'repetitionPenalty'],
      [{ prompt: 'a', seed: 'x' }, 'seed'],
      [{ prompt: 'a', seed: -1 }, 'seed'],
      [{ prompt: 'a', seed: 2 ** 32 }, 'seed'],
      [{ prompt: 'a', stop: [''] }, 'stop'],
      [{ prompt: 'a', stop: 3 }, 'stop'],
      [{ prompt: 'a', stream: 'yes' }, 'stream'],
      [{ prompt: 'a', max_tokens: 3 }, 'max_tokens'],
    ] as const) {
      const { code, message } = await errorOf(await send(body), 400);
      expect([code, message.split(/[.:]/)[0]], JSON.stringify(body).slice(0, 80)).to.deep.equal(['bad-request', field]);
    }
    const few = 'expected a text or up to 8 texts, each of 1..100 characters, got';
    for (const [body, said] of [
      [{ stop: [1] }, `stop: ${few} a list of 1`],
      [{ stop: Array(9).fill('a') }, `stop: ${few} a list of 9`],
      [{ stop: 3 }, `stop: ${few} 3`],
      [{ n: 0 }, 'n: expected at least 1, got 0'],
      [{ n: 17 }, 'n: expected at most 16, got 17'],
      [{ n: '2' }, 'n: expected a number, got "2"'],
      [{ maxTokens: 1.5 }, 'maxTokens: expected a whole number, got 1.5'],
      [{ topP: 0 }, 'topP: expected more than 0, got 0'],
      [{ seed: 2 ** 32 }, 'seed: expected at most 4294967295, got 4294967296'],
      [{ stream: 'yes' }, 'stream: expected true or false, got "yes"'],
      [{ prompt: null }, 'prompt: expected text, got null'],
    ] as const) {
      expect((await errorOf(await send({ prompt: 'a', ...body }), 400)).message).to.equal(said);
    }
    expect((await errorOf(await send('{"prompt":"a" 3}'), 400)).message).to.match(
      /^expected a JSON object, got something else: /,
    );
    for (const body of ['', '{', '[]', '"text"', 'null'])
      expect((await errorOf(await send(body), 400)).code).to.equal('bad-request');
    expect((await errorOf(await send({ prompt: 'a', stop: 'x'.repeat(70_000) }), 413)).code).to.equal('too-large');
    const plain = await send('{"prompt":"a"}', { headers: { 'content-type': 'text/plain' } });
    expect((await errorOf(plain, 415)).code).to.equal('unsupported-media-type');
    expect(server.inFlight()).to.equal(0);
  });

  it('an empty stop, or null, is none', async () => {
    const request = { prompt: 'The cat', seed: 3, maxTokens: 9 };
    const expected = await generate(request);
    for (const stop of ['', null, []]) expect(await generate({ ...request, stop })).to.deep.equal(expected);
  });

  it('a client that goes away frees its place', async () => {
    const leave = new AbortController();
    const slow = { prompt: 'The', n: 16, maxTokens: 1000, temperature: 0.5, stop: ['zzz'] };
    const [one, two] = await Promise.all(
      [true, true].map((stream) => send({ ...slow, stream }, { signal: leave.signal })),
    );
    const answered = send({ ...slow, stream: false }, { signal: leave.signal }).catch((error: Error) => error.name);
    await eventsOf(one!).next();
    await until(() => server.inFlight() === 3);
    leave.abort();
    expect(await answered).to.equal('AbortError');
    await two!.text().catch(() => undefined);
    await until(() => server.inFlight() === 0);
    await generate({ prompt: 'The cat', maxTokens: 3 });
  });

  it('more than the queue holds are sent away at once, with when to come back', async () => {
    const small = await createBench();
    try {
      await publishText(small.store);
      const { url, inFlight } = await small.start({ capacity: 3, niceness: 0 });
      const body = { prompt: 'The', maxTokens: 1000, n: 16, stop: ['zzz'], stream: true };
      const leave = new AbortController();
      const held = await Promise.all(
        [1, 2, 3].map(() => postJson(`${url}/v1/generate`, body, { signal: leave.signal })),
      );
      const refused = await postJson(`${url}/v1/generate`, body);
      expect((await errorOf(refused, 503)).code).to.equal('busy');
      expect(Number(refused.headers.get('retry-after'))).to.be.above(0);
      leave.abort();
      for (const response of held) await response.text().catch(() => undefined);
      await until(() => inFlight() === 0);
    } finally {
      await small.end();
    }
  });

  it('follows the store without a restart; what cannot write leaves the old version serving', async () => {
    const moving = await createBench();
    try {
      const lines: string[] = [];
      const log = pino({ level: 'error' }, { write: (line) => void lines.push(line) });
      const running = await moving.start({ log, niceness: 0 });
      const ask = (): Promise<Response> =>
        postJson(`${running.url}/v1/generate`, { prompt: 'The', seed: 1, maxTokens: 9 });
      const refused = await ask();
      expect((await errorOf(refused, 503)).code).to.equal('not-ready');
      expect(Number(refused.headers.get('retry-after'))).to.be.above(0);
      const modelOf = async (): Promise<string | null> => (await ask()).headers.get('x-model');
      await publishText(moving.store, tinyTextModel(1));
      await until(async () => (await modelOf()) === 'text@1');
      const first = (await (await ask()).json()) as GenerateBody;
      await publishText(moving.store, tinyTextModel(2));
      await until(async () => (await modelOf()) === 'text@2');
      expect(((await (await ask()).json()) as GenerateBody).candidates).to.not.deep.equal(first.candidates);
      const broken = await publishText(moving.store, Uint8Array.of(1, 2, 3));
      await until(() => lines.some((line) => line.includes(`"model":"text@${broken}"`)));
      expect(await modelOf()).to.equal('text@2');
      await moving.store.use('text', 1);
      await until(async () => (await modelOf()) === 'text@1');
      expect(await (await ask()).json()).to.deep.equal(first);
    } finally {
      await moving.end();
    }
  });

  it('finishes what is being written before it stops, and takes nothing new', async () => {
    const leaving = await createBench();
    try {
      await publishText(leaving.store);
      const running = await leaving.start({ niceness: 0 });
      const response = await postJson(`${running.url}/v1/generate`, {
        prompt: 'The',
        maxTokens: 200,
        n: 8,
        stream: true,
      });
      const events = eventsOf(response);
      await events.next();
      const closed = running.close();
      const refused = await postJson(`${running.url}/v1/generate`, { prompt: 'The' }).catch(() => undefined);
      if (refused !== undefined) expect((await errorOf(refused, 503)).code).to.equal('draining');
      let last = '';
      for await (const data of events) last = data;
      expect((JSON.parse(last) as GenerateBody).candidates).to.have.length(8);
      await closed;
    } finally {
      await leaving.end();
    }
  });
});

describe('the thread that writes', function () {
  this.timeout(60_000);
  const warnings: string[] = [];
  const log = { warn: (_: object, message: string) => void warnings.push(message) };

  it('takes an endless text out of its batch when it is cancelled', async () => {
    const writer = createTextPool({ log, rows: 2, niceness: 0 });
    await writer.load({ key: 'text@1', model: tinyTextModel() });
    const leave = new AbortController();
    let pieces = 0;
    const endless = { key: 'text@1', prompt: 'The', n: 2, maxTokens: 1e9, stop: ['zzz'], temperature: 0.01 };
    const written = writer.run(endless, {
      signal: leave.signal,
      onEvent: () => {
        pieces += 1;
        if (pieces === 20) leave.abort();
      },
    });
    const waiting = writer.run({ ...endless, n: 1, maxTokens: 3 });
    const error = await written.catch((reason: unknown) => reason);
    expect(error).to.include({ status: 499, code: 'cancelled' });
    expect((await waiting).candidates[0]!.tokens).to.be.within(1, 3);
    expect(writer.isUsing('text@1')).to.equal(false);
    await writer.close();
  });

  it('is replaced when it dies: what it wrote fails, what comes later is written', async () => {
    const script = new URL('./dying-text-worker.js', import.meta.url);
    const writer = createTextPool({ log, script, niceness: 0 });
    await writer.load({ key: 'text@1', model: tinyTextModel() });
    const job = { key: 'text@1', prompt: 'The', maxTokens: 3 };
    const error = await writer.run({ ...job, prompt: 'die' }).catch((reason: unknown) => reason);
    expect(String(error)).to.match(/the thread that writes died/);
    const again = async (): Promise<boolean> => {
      try {
        return (await writer.run(job)).candidates.length === 1;
      } catch (reason) {
        expect(reason).to.include({ status: 503 });
        return false;
      }
    };
    await until(again);
    expect(warnings).to.include('the thread that writes died and is replaced');
    await writer.close();
    expect(await writer.run(job).catch((reason: unknown) => reason)).to.include({ status: 503, code: 'draining' });
  });

  it('refuses requests while the thread dies whenever it loads the model, however many come', async () => {
    const script = new URL('./dying-text-worker.js', import.meta.url);
    const writer = createTextPool({ log, script, niceness: 0 });
    const model = tinyTextModel();
    const whole = model.slice();
    await writer.load({ key: 'text@1', model });
    model.fill(13);
    const outcome = (prompt: string): Promise<unknown> =>
      writer.run({ key: 'text@1', prompt, maxTokens: 3 }).catch((reason: unknown) => reason);
    expect(String(await outcome('die'))).to.match(/the thread that writes died/);
    for (const refused of await Promise.all(Array.from({ length: 70 }, () => outcome('The'))))
      expect(refused).to.include({ status: 503, code: 'not-ready', retryAfterSeconds: 5 });
    model.set(whole);
    await until(async () => !((await outcome('The')) instanceof Error));
    await writer.close();
  });

  it('a thread that takes another one’s place has every model, whoever starts it, and tries again what does not load', async () => {
    const script = new URL('./dying-text-worker.js', import.meta.url);
    const writer = createTextPool({ log, script, niceness: 0 });
    const second = tinyTextModel(2);
    await writer.load({ key: 'text@1', model: tinyTextModel(1) });
    await writer.load({ key: 'text@2', model: second });
    const job = { prompt: 'The', maxTokens: 3 };
    const dies = (): Promise<unknown> =>
      writer.run({ ...job, key: 'text@1', prompt: 'die' }).catch((reason: unknown) => reason);
    const outcome = async (): Promise<unknown> =>
      writer.run({ ...job, key: 'text@2' }).catch((reason: unknown) => reason);
    await dies();
    // In the pause before the thread is replaced.
    await writer.load({ key: 'text@3', model: tinyTextModel(3) });
    for (const key of ['text@1', 'text@2', 'text@3'])
      expect((await writer.run({ ...job, key })).candidates, key).to.have.length(1);
    const whole = second.slice();
    second.fill(0);
    await dies();
    await writer.load({ key: 'text@3', model: tinyTextModel(3) });
    await until(() => warnings.some((warning) => /could not load a model/.test(warning)));
    expect(await outcome()).to.include({ status: 503, code: 'not-ready' });
    second.set(whole);
    await until(async () => !((await outcome()) instanceof Error));
    await writer.close();
  });
});
