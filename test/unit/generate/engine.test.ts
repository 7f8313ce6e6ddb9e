import { expect } from 'chai';
import { beamSearch } from '../../../training/generate/beam.ts';
import { type GenerateOptions, TextEngine } from '../../../training/generate/engine.ts';
import { generateText } from '../../../training/generate/generate.ts';
import { chainModel } from '../../helpers/chain-model.ts';

const even = chainModel(() => ({ a: 1, b: 1, c: 1, '.': 1, xxbos: 0.3, xxunk: 5, xxmaj: 1 }));

describe('writing texts', () => {
  it('the same seed gives the same text, whatever the number of candidates; another seed another', async () => {
    const [one] = await generateText(even, { seed: 5 });
    const many = await generateText(even, { seed: 5, n: 4 });
    expect(many[0]).to.deep.equal(one);
    expect(new Set(many.map(({ text }) => text)).size).to.be.greaterThan(1);
    expect((await generateText(even, { seed: 6 }))[0]).to.not.deep.equal(one);
  });

  it('shows no xxunk nor other special word, and ends at xxbos', async () => {
    const texts = await generateText(even, { n: 40, maxTokens: 30 });
    expect(texts.map(({ text }) => text).join(' ')).to.not.match(/xx/);
    expect(new Set(texts.map(({ finishReason }) => finishReason))).to.deep.equal(new Set(['stop', 'length']));
    for (const { tokens, finishReason } of texts) if (finishReason === 'length') expect(tokens).to.equal(30);
  });

  it('says something before it ends, after a prompt too', async () => {
    const eager = chainModel((last) => ({ a: 0.1, '.': 0.1, xxbos: last === '.' || last === 'b' ? 9 : 0.5 }));
    for (const prompt of ['', 'b', 'a b.'])
      for (const { text, tokens } of await generateText(eager, { prompt, n: 16, maxTokens: 12, seed: 11 })) {
        expect(text.trim(), prompt).to.not.equal('');
        expect(tokens).to.be.above(0);
      }
    for (const { text } of await beamSearch(eager, { prompt: 'b', maxTokens: 3 })) expect(text).to.not.equal('');
  });

  it('gives what follows the prompt, and the pieces that it tells add up to it', async () => {
    const pieces: string[] = ['', ''];
    const model = chainModel((last) => (last === 'b' ? { c: 1 } : last === 'c' ? { '.': 1 } : { xxbos: 1 }));
    const found = await generateText(model, {
      prompt: 'A b',
      n: 2,
      onText: (candidate, piece) => {
        pieces[candidate] += piece;
      },
    });
    expect(found[0]).to.deep.equal({ text: ' c.', tokens: 2, finishReason: 'stop' });
    expect(pieces).to.deep.equal([' c.', ' c.']);
  });

  it('has no second space where the prompt ends in white space', async () => {
    const model = chainModel((last) => (last === 'b' ? { c: 1 } : last === 'c' ? { a: 1 } : { xxbos: 1 }));
    for (const [prompt, expected] of [
      ['b', ' c a'],
      ['b ', 'c a'],
      ['b\t', 'c a'],
    ] as const) {
      const pieces: string[] = [];
      const [found] = await generateText(model, { prompt, onText: (_, piece) => void pieces.push(piece) });
      expect([found!.text, pieces.join('')], JSON.stringify(prompt)).to.deep.equal([expected, expected]);
      expect((await beamSearch(model, { prompt, beams: 1 }))[0]!.text).to.equal(expected);
    }
  });

  it('ends before a stop, which is never told, not even in part', async () => {
    const pieces: string[] = [];
    const model = chainModel(
      (last) => ({ xxbos: { a: 1 }, a: { b: 1 }, b: { '.': 1 }, '.': { c: 1 } })[last] ?? { a: 1 },
    );
    const [found] = await generateText(model, { stop: ['b. c', 'zzz'], onText: (_, piece) => void pieces.push(piece) });
    expect(found).to.deep.equal({ text: 'a ', tokens: 4, finishReason: 'stop' });
    expect(pieces.join('')).to.equal('a ');
  });

  it('texts that have ended leave the batch', async () => {
    const model = chainModel(() => ({ a: 1, xxbos: 0.5 }));
    await generateText(model, { n: 16, maxTokens: 12 });
    const rows = model.runs.map(([count]) => count);
    expect(rows[0]).to.equal(1);
    expect(rows.slice(1)).to.deep.equal(rows.slice(1).sort((a, b) => b - a));
    expect(rows.at(-1)).to.be.below(16);
  });

  it('a mark of capitals is followed by a word, one of repetition by a number', async () => {
    const marks = chainModel((last) =>
      last === 'xxrep' ? { xxrep: 1, a: 1, '7': 0.01 } : { xxmaj: 1, xxrep: 1, a: 1, '.': 1 },
    );
    const [{ text } = { text: '' }] = await generateText(marks, { maxTokens: 300 });
    expect(text).to.match(/A/);
    expect(text).to.match(/a{7}|A{7}|\.{7}/);
  });

  it('stops when asked to', async () => {
    const stop = new AbortController();
    const [found] = await generateText(even, { maxTokens: 1000, signal: stop.signal, onText: () => stop.abort() });
    expect(found!.tokens).to.be.below(20);
  });

  it('refuses numbers out of range', async () => {
    for (const options of [
      { n: 0 },
      { seed: -1 },
      { seed: 2 ** 32 },
      { maxTokens: 1.5 },
      { topP: 0 },
      { topK: -1 },
      { temperature: Number.NaN },
      { stop: [''] },
    ]) {
      const error = await generateText(even, options).catch((reason: unknown) => reason);
      expect(error, JSON.stringify(options)).to.have.property('code', 'bad-argument');
    }
  });
});

/** What comes next depends on the number of words so far, so a text with another's state would be another text. */
const counting = (): ReturnType<typeof chainModel> =>
  chainModel((last, read) => ({ a: read % 5, b: read % 3, c: last === 'a' ? 2 : 0.5, '.': 1, xxbos: 0.2, xxmaj: 0.7 }));

describe('many requests in one batch', () => {
  const prompts = ['', 'a b c', 'a b. c a b. c a b. c a b. c a b. c', 'c', 'b b', 'A. B. C. '.repeat(9)];
  const requests: readonly GenerateOptions[] = Array.from({ length: 18 }, (_, i) => ({
    prompt: prompts[i % prompts.length]!,
    seed: i,
    n: 1 + (i % 4),
    maxTokens: 3 + ((7 * i) % 20),
    temperature: [0.7, 1, 0, 1.5][i % 4]!,
    ...(i % 5 === 0 && { repetitionPenalty: 1.5 }),
  }));

  it('give each the text that it gets alone, whoever comes and goes', async () => {
    const alone = await Promise.all(requests.map((request) => generateText(counting(), request)));
    const model = counting();
    const engine = new TextEngine(model, { rows: 9 });
    const together = requests.map(async (request, i) => {
      for (let wait = 0; wait < (5 * i) % 13; wait++) await new Promise((resolve) => setImmediate(resolve));
      return engine.write(request);
    });
    expect(await Promise.all(together)).to.deep.equal(alone);
    expect(Math.max(...model.runs.map(([rows]) => rows))).to.be.within(6, 9);
    expect(engine.idle).to.equal(true);
  });

  it('read prompts in windows, in between which the others continue', async () => {
    const model = counting();
    const engine = new TextEngine(model);
    const first = engine.write({ maxTokens: 30, stop: ['zzz'] });
    await engine.write({ prompt: 'a b c '.repeat(15).trim(), maxTokens: 1 });
    await first;
    // xxbos and 45 words.
    const windows = model.runs.map(([, words]) => words);
    expect(windows.filter((words) => words > 1)).to.deep.equal([16, 16, 8, 4, 2]);
    for (const [i, words] of windows.entries()) if (words > 1) expect(windows[i + 1]).to.equal(1);
  });

  it('an aborted one leaves at the next step with what it has, the others do not notice', async () => {
    const endless = { maxTokens: 100_000, topK: 2, stop: ['zzz'] };
    const model = chainModel(() => ({ a: 1, b: 1 }));
    const engine = new TextEngine(model, { rows: 4 });
    const [early, late] = [new AbortController(), new AbortController()];
    const begun = engine.write({ ...endless, n: 3, signal: early.signal });
    const waiting = engine.write({ ...endless, n: 2, signal: late.signal });
    const other = engine.write({ maxTokens: 400, stop: ['zzz'] });
    while (model.runs.length < 20) await new Promise((resolve) => setImmediate(resolve));
    expect(engine.busy).to.equal(3);
    early.abort();
    const before = model.runs.length;
    for (const { finishReason, tokens } of await begun) {
      expect(finishReason).to.equal('length');
      expect(tokens).to.be.within(15, 25);
    }
    expect(model.runs.length - before).to.be.at.most(2);
    late.abort();
    expect((await waiting).length).to.equal(2);
    const [text] = await other;
    expect(text!.tokens).to.equal(400);
    expect(engine.idle).to.equal(true);
  });

  it('one that wants many rows is not overtaken', async () => {
    const model = chainModel(() => ({ a: 1 }));
    const engine = new TextEngine(model, { rows: 4 });
    const done: string[] = [];
    const write = (name: string, n: number, maxTokens: number): Promise<unknown> =>
      engine.write({ n, maxTokens, stop: ['zzz'] }).then(() => done.push(name));
    await Promise.all([write('long', 1, 9), write('wide', 4, 2), write('late', 1, 1)]);
    expect(done).to.deep.equal(['long', 'wide', 'late']);
  });

  it('a run that fails fails all of them, and the next request is answered again', async () => {
    const model = counting();
    const engine = new TextEngine({
      ...model,
      session: {
        run: (feeds, fetches) =>
          model.runs.length === 6 && model.runs.push([0, 0])
            ? Promise.reject(new Error('out of memory'))
            : model.session.run(feeds, fetches),
      },
    });
    const failed = await Promise.allSettled([engine.write({ n: 2, stop: ['zzz'] }), engine.write({ stop: ['zzz'] })]);
    expect(failed.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected']);
    expect(await engine.write(requests[1]!)).to.deep.equal(await generateText(counting(), requests[1]!));
  });

  it('what the listener of one throws is of that one alone', async () => {
    const model = counting();
    const engine = new TextEngine(model);
    const onText = (): void => {
      throw new Error('listener');
    };
    const [bad, good] = await Promise.allSettled([
      engine.write({ n: 2, stop: ['zzz'], maxTokens: 1000, onText }),
      engine.write(requests[1]!),
    ]);
    expect(bad).to.have.nested.property('reason.message', 'listener');
    const value = await generateText(counting(), requests[1]!);
    expect(good).to.deep.equal({ status: 'fulfilled', value });
    expect(engine.idle).to.equal(true);
  });

  it('refuses more candidates than it has rows', async () => {
    const error = await new TextEngine(counting(), { rows: 2 }).write({ n: 3 }).catch((reason: unknown) => reason);
    expect(error).to.have.property('code', 'bad-argument');
  });

  it('pauses between steps where it is asked to', async () => {
    let pauses = 0;
    const pause = async (): Promise<void> => {
      pauses += 1;
    };
    await generateText(counting(), { maxTokens: 5, stop: ['zzz'], temperature: 0, pause });
    // The first one reads the prompt, which gives a word too.
    expect(pauses).to.equal(4);
  });
});
