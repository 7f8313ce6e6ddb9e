import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { readCorpus, readParagraphs } from '../../../training/text/corpus.node.ts';
import { type TextPart, unknownShare } from '../../../training/text/corpus.ts';
import { makeVocab } from '../../../training/text/vocab.ts';

const wiki = ' = Moon = \n\n The moon is a moon . \n \n = = Sky = = \n\n It is there . \n = Sun = \n\n Hot . \n';

async function partsOf(name: string, content: string | Uint8Array): Promise<TextPart[]> {
  const folder = await mkdtemp(join(tmpdir(), 'fettle-corpus-'));
  try {
    await writeFile(join(folder, name), content);
    const parts: TextPart[] = [];
    for await (const part of readParagraphs(join(folder, name))) parts.push(part);
    return parts;
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe('reading texts', () => {
  it('yields paragraphs; articles of WikiText begin anew, sections do not', async () => {
    const parts = await partsOf('a.txt', wiki);
    expect(parts.filter(({ begins }) => begins).map(({ text }) => text)).to.deep.equal(['= Moon =', '= Sun =']);
    expect(parts).to.have.length(6);
    expect(await partsOf('a.txt.gz', gzipSync(wiki))).to.deep.equal(parts);
  });

  it('tells of a file that is not there, and of one that is damaged', async () => {
    for (const read of [
      () => partsOf('a.txt.gz', gzipSync(wiki).subarray(0, 40)),
      () => readParagraphs('/nowhere.gz').next(),
    ]) {
      const error = await read().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).to.be.instanceOf(Error);
    }
  });

  it('makes the same tokens with threads and without', async () => {
    const parts = Array.from({ length: 3000 }, (_, i) => ({
      text: `Number ${i % 97} of many, ${'word '.repeat(i % 5)}and ${i}.`.repeat(8),
      begins: i % 3 === 0,
    }));
    const [alone, threads] = await Promise.all([readCorpus(parts, { workers: 0 }), readCorpus(parts, { workers: 2 })]);
    const vocab = makeVocab(alone.counts());
    expect([...threads.counts()]).to.deep.equal([...alone.counts()]);
    expect(threads.numericalise(vocab)).to.deep.equal(alone.numericalise(vocab));
    expect(alone.length).to.be.greaterThan(100_000);
  });

  it('puts xxbos or a line end before each part, and xxunk for rare words', async () => {
    const corpus = await readCorpus(
      [
        { text: 'A a b', begins: true },
        { text: 'a', begins: false },
      ],
      { workers: 0 },
    );
    const vocab = makeVocab(corpus.counts(), { minFreq: 2 });
    const ids = corpus.numericalise(vocab);
    expect(vocab.textify(ids)).to.deep.equal(['xxbos', 'xxmaj', 'a', 'a', 'xxunk', 'xxunk', 'a']);
    expect(unknownShare(ids)).to.equal(2 / 7);
  });
});
