import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { pagesWithTables, withTables } from '../../scripts/repo/docs.ts';
import { listFiles, readSources, rootDir, type SourceFile } from '../../scripts/repo/source-files.ts';

type Rule = readonly [phrase: RegExp, instead: string];

/** Phrases that a manual would not use, and what to write instead. */
const banned: readonly Rule[] = [
  [/\bby heart\b/i, 'memorise'],
  [/\b(left|leaves|leaving|be left) out\b/i, 'omitted, skipped, by default'],
  [/\b(is|are|was|were|be|been) told\b|\btold (with|apart|by)\b/i, 'reported, classified, distinguished'],
  [/\b(is|are|was|were|be|been) passed over\b/i, 'skip'],
  [/\b(go|goes|going|went|gone) on\b(?! (a|the) )/i, 'continue'],
  [/\bdecided nothing\b/i, 'not used for model selection'],
  [/\b(that|which|it) (is|are) none\b|\bwhat is none\b/i, 'is not valid, is not one'],
  [/\bput(s|ting)? to work\b/i, 'activate'],
  [/\bwhen not given\b|\bunless (told|said) otherwise\b/i, 'by default'],
];
/** In pages only: identifiers are spelled as those of ONNX and PyTorch. */
const spelling: Rule = [
  /\b(behavior|normaliz(e|ed|ation)|optimiz(e|ed|ation)|analyz(e|ed)|neighbor)/i,
  'British spelling',
];

interface Line {
  readonly path: string;
  readonly line: number;
  readonly text: string;
}

/** Prose of a page: no blocks of code, no inline code, no addresses. */
function proseOf(path: string): Line[] {
  let inCode = false;
  return readFileSync(join(rootDir, path), 'utf8')
    .split('\n')
    .flatMap((text, i) => {
      const fence = text.startsWith('```');
      if (fence) inCode = !inCode;
      const prose = text.replace(/`[^`]*`/g, '``').replace(/\]\([^)]*\)/g, ']');
      return fence || inCode ? [] : [{ path, line: i + 1, text: prose }];
    });
}

/** Words that a sentence of a page has at most. */
const sentenceWords = 30;

/** Sentences of prose with more than {@link sentenceWords} words: code counts as one word, tables do not count; an item of a list or a heading ends what was before. */
function longSentences(lines: readonly Line[]): string[] {
  const blocks: { path: string; line: number; text: string }[] = [];
  let open = false;
  for (const { path, line, text } of lines) {
    const starts = /^\s*([-*] |\d+\. |#)/.test(text);
    const prose = text.trim() !== '' && !text.trimStart().startsWith('|');
    if (prose && open && !starts && blocks.at(-1)?.path === path) blocks.at(-1)!.text += ` ${text}`;
    else if (prose) blocks.push({ path, line, text });
    open = prose && !text.startsWith('#');
  }
  return blocks.flatMap(({ path, line, text }) =>
    text
      .replaceAll('``', 'CODE')
      .split(/(?<=[.!?]\)?)\s+(?=[^a-z])/)
      .map((sentence) => sentence.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word)))
      .filter((words) => words.length > sentenceWords)
      .map((words) => `${path}:${line}: ${words.length} words: ${words.slice(0, 8).join(' ')} …`),
  );
}

/** Lines of a source file: phrases of several words are in comments and messages only. */
const linesOf = ({ path, text }: SourceFile): Line[] =>
  text.split('\n').map((one, i) => ({ path, line: i + 1, text: one }));

const offences = (lines: readonly Line[], rules: readonly Rule[] = banned): string[] =>
  lines.flatMap(({ path, line, text }) =>
    rules.flatMap(([phrase, instead]) => {
      const found = phrase.exec(text);
      return found ? [`${path}:${line}: ${found[0]} (${instead})`] : [];
    }),
  );

const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...listFiles(rootDir, 'docs', ['.md'])];

describe('words', () => {
  it('docs are written in plain English', () => {
    expect(offences(pages.flatMap(proseOf), [...banned, spelling])).to.deep.equal([]);
  });

  it('no sentence of a page has more than 30 words', () => {
    expect(longSentences(pages.flatMap(proseOf))).to.deep.equal([]);
  });

  it('a sentence that is too long is found over lines, and where it ends', () => {
    const page = (...texts: readonly string[]) => texts.map((text, i) => ({ path: 'a.md', line: i + 1, text }));
    const words = (count: number): string => Array(count).fill('word').join(' ');
    expect(longSentences(page(`${words(30)}. W ${words(29)}`, '', words(30)))).to.deep.equal([]);
    expect(longSentences(page('# Title', words(20), `${words(10)} \`\`.`))).to.deep.equal([
      `a.md:2: 31 words: ${words(8)} …`,
    ]);
    expect(longSentences(page(`- ${words(20)}`, `- ${words(20)}`, `| ${words(40)} |`))).to.deep.equal([]);
  });

  it('so are comments, help texts and errors', () => {
    const sources = readSources().filter(({ path }) => path !== 'test/arch/words.test.ts');
    expect(sources.length).to.be.above(300);
    expect(offences(sources.flatMap(linesOf))).to.deep.equal([]);
  });

  it('a banned phrase is found, outside of code', () => {
    const text = 'Options that are left out go on with `left out` of the last run.';
    expect(offences([{ path: 'a.md', line: 1, text }])).to.have.length(2);
    expect(offences([{ path: 'a.md', line: 1, text: 'work goes on the GPU' }])).to.deep.equal([]);
  });

  it('the README has at most 80 lines, the docs 20 000 words', () => {
    const wordsOf = (path: string): number =>
      readFileSync(join(rootDir, path), 'utf8')
        .split(/\s+/)
        .filter((word) => /[\p{L}\p{N}]/u.test(word)).length;
    expect(readFileSync(join(rootDir, 'README.md'), 'utf8').split('\n').length).to.be.at.most(81);
    expect(pages.reduce((sum, path) => sum + wordsOf(path), 0)).to.be.at.most(20_000);
  });

  it('tables that are made from the code are those of the code', () => {
    const made = pagesWithTables();
    expect(made.length).to.be.greaterThan(0);
    for (const { path, text } of made)
      expect(withTables(text), `${path}: node dist/scripts/repo/docs.js`).to.equal(text);
  });
});
