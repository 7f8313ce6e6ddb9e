import { expect } from 'chai';
import OpenAI from 'openai';
import type { RunningServer } from '../../server/main.ts';
import { publishText } from '../helpers/text-model.ts';
import { type Bench, createBench } from './harness.ts';

describe('server: POST /v1/completions with the client of OpenAI', function () {
  this.timeout(120_000);
  let bench: Bench;
  let server: RunningServer;
  let client: OpenAI;
  before(async () => {
    bench = await createBench();
    await publishText(bench.store);
    server = await bench.start({ niceness: 0 });
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
  });
  after(() => bench.end());

  const base = { model: 'text', prompt: 'The cat', seed: 5, temperature: 0.7 } as const;

  it('completes', async () => {
    const answer = await client.completions.create({ ...base, n: 2, max_tokens: 12, top_p: 0.9, user: 'somebody' });
    expect(answer.object).to.equal('text_completion');
    expect(answer.id).to.match(/^cmpl-/);
    expect(answer.model).to.equal('text@1');
    expect(answer.created).to.be.closeTo(Date.now() / 1000, 100);
    expect(answer.choices.map(({ index }) => index)).to.deep.equal([0, 1]);
    for (const { text, finish_reason, logprobs } of answer.choices) {
      expect(text).to.match(/\w/).and.not.match(/xx/);
      expect(finish_reason).to.be.oneOf(['stop', 'length']);
      expect(logprobs).to.equal(null);
    }
    const { prompt_tokens, completion_tokens, total_tokens } = answer.usage!;
    // xxmaj the cat
    expect(prompt_tokens).to.equal(3);
    expect(completion_tokens).to.be.within(2, 24);
    expect(total_tokens).to.equal(prompt_tokens + completion_tokens);
    const again = await client.completions.create({ ...base, n: 2, max_tokens: 12, top_p: 0.9 });
    expect(again.choices).to.deep.equal(answer.choices);
  });

  it('streams, with usage where it is asked for', async () => {
    const request = { ...base, n: 2, max_tokens: 15, stop: ['dog'] };
    const whole = await client.completions.create(request);
    const texts = ['', ''];
    const reasons: (string | null)[] = [null, null];
    let usage: OpenAI.CompletionUsage | null | undefined;
    let events = 0;
    const stream = await client.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const event of stream) {
      events += 1;
      for (const { index, text, finish_reason } of event.choices) {
        expect(reasons[index]).to.equal(null);
        texts[index] += text;
        reasons[index] = finish_reason;
      }
      usage = event.usage;
    }
    expect(texts).to.deep.equal(whole.choices.map(({ text }) => text));
    expect(reasons).to.deep.equal(whole.choices.map(({ finish_reason }) => finish_reason));
    expect(usage).to.deep.equal(whole.usage);
    expect(events).to.be.above(5);
  });

  it('says that a choice has ended before the slowest has', async () => {
    const request = { ...base, temperature: 1, n: 8, max_tokens: 60, stop: ['moon', 'dog', 'the'] };
    const ends: number[] = [];
    let [events, last] = [0, 0];
    for await (const event of await client.completions.create({ ...request, stream: true })) {
      events += 1;
      const [choice] = event.choices;
      if (choice?.finish_reason) ends.push(events);
      else last = events;
    }
    expect(ends).to.have.length(8);
    expect(ends[0]).to.be.below(last);
  });

  it('ends with data: [DONE]', async () => {
    const response = await fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...base, stream: true, max_tokens: 3 }),
    });
    expect(response.headers.get('content-type')).to.match(/^text\/event-stream/);
    expect(await response.text()).to.match(/^data: \{.*\}\n\n(.*\n\n)*data: \[DONE\]\n\n$/s);
  });

  it('takes several prompts, echoes, and words that other servers have too', async () => {
    const request = { ...base, prompt: ['The cat', 'A dog'], n: 2, echo: true, max_tokens: 4 };
    const { choices } = await client.completions.create(request);
    expect(choices.map(({ text }) => text.slice(0, 5))).to.deep.equal(['The c', 'The c', 'A dog', 'A dog']);
    const alone = await client.completions.create({ ...base, prompt: 'A dog', n: 2, echo: true, max_tokens: 4 });
    expect(alone.choices.map(({ text }) => text)).to.deep.equal(choices.slice(2).map(({ text }) => text));
    const stream = await client.completions.create({ ...request, stream: true });
    const streamed = ['', '', '', ''];
    for await (const event of stream) for (const { index, text } of event.choices) streamed[index] += text;
    expect(streamed).to.deep.equal(choices.map(({ text }) => text));
    const extra = {
      ...base,
      top_k: 1,
      repetition_penalty: 1.5,
      top_p: 0,
      logit_bias: {},
      logprobs: null,
      suffix: null,
    };
    expect((await client.completions.create(extra)).choices).to.have.length(1);
  });

  it('errors are what the client expects, with the field', async () => {
    const refused = async (request: object): Promise<InstanceType<typeof OpenAI.APIError>> => {
      const error = await client.completions.create({ ...base, ...request }).catch((reason: unknown) => reason);
      expect(error, JSON.stringify(request)).to.be.instanceOf(OpenAI.APIError);
      return error as InstanceType<typeof OpenAI.APIError>;
    };
    for (const [field, value] of Object.entries({
      prompt: '',
      max_tokens: 0,
      temperature: 3,
      top_p: 2,
      n: 99,
      stop: 5,
      seed: 0.5,
      logprobs: 3,
      presence_penalty: 0.5,
      frequency_penalty: -1,
      logit_bias: { 50: -100 },
      suffix: 'end',
      best_of: 4,
      echo: 'yes',
      tools: [],
    })) {
      const error = await refused({ [field]: value });
      expect([error.status, error.param, error.type], field).to.deep.equal([400, field, 'invalid_request_error']);
      expect(error.message).to.include(field);
    }
    expect((await refused({ prompt: [5, 6] })).message).to.match(/prompt: expected text, got tokens/);
    expect((await refused({ prompt: Array.from({ length: 9 }, () => 'a'), n: 2 })).param).to.equal('n');
    const unknown = await refused({ model: 'gpt-4' });
    expect([unknown.status, unknown.code]).to.deep.equal([404, 'model_not_found']);
    const empty = await createBench();
    try {
      const { url } = await empty.start();
      const other = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
      const error = await other.completions.create(base).catch((reason: unknown) => reason);
      expect(error).to.include({ status: 503, type: 'server_error', code: 'not-ready' });
    } finally {
      await empty.end();
    }
  });

  it('a stream that is broken off frees its place', async () => {
    const stream = await client.completions.create({ ...base, n: 16, max_tokens: 1000, stop: ['zzz'], stream: true });
    for await (const event of stream) {
      expect(event.choices).to.have.length(1);
      break;
    }
    while (server.inFlight() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });
});
