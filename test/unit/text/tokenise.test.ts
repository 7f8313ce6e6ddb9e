import { expect } from 'chai';
import fc from 'fast-check';
import { detokenise, TextJoiner } from '../../../training/text/detokenise.ts';
import { specialTokens } from '../../../training/text/special.ts';
import { decodeHtml, tidyText, tokenise } from '../../../training/text/tokenise.ts';
import { decodeVocab, encodeVocab, makeVocab, Vocab } from '../../../training/text/vocab.ts';

const cases: Readonly<Record<string, string>> = {
  "Don't SHOUT!!!!": "xxmaj do n't xxup shout xxrep 4 !",
  "I'm sure CAN'T": "xxmaj i 'm sure xxup ca xxup n't",
  'iPhone and SpaceX': 'iPhone and SpaceX',
  'no no no NO': 'xxwrep 3 no xxup no',
  'aaaa 1000': 'xxrep 4 a 1000',
  '1,000 well-known 10:30': '1 @,@ 000 well @-@ known 10 @:@ 30',
  '1 @,@ 000 3 @-@ D': '1 @,@ 000 3 @-@ xxmaj d',
  'at https://t.co/aB-c.': 'at https://t.co/aB-c .',
  "(www.a.com) @elonmusk's #Mars": "( www.a.com ) @elonmusk 's #Mars",
  'a@b.c': 'a @@@ b @.@ c',
  '~30 or 20+, -5 .@x a@ *so*': '~@ 30 or 20 @+ , -@ 5 .@ @x a @@ *@ so @*',
  'What?? Well.. (a, b))': 'xxmaj what xxrep 2 ? xxmaj well xxrep 2 . ( a , b xxrep 2 )',
  'hi😀👨‍👩‍👧🇩🇪': 'hi 😀 👨‍👩‍👧 🇩🇪',
  '“wow” ok :)': '“ wow ” ok :)',
  'xxbos XXBOS <unk>': 'xxunk xxunk xxunk',
  'Straße İ ǅ': 'xxmaj straße İ ǅ',
};

describe('tokenise', () => {
  for (const [text, tokens] of Object.entries(cases))
    it(`${text} -> ${tokens}`, () => expect(tokenise(text).join(' ')).to.equal(tokens));

  it('decodes character references, and leaves unknown ones', () => {
    expect(decodeHtml('a &amp; b &lt;&#39;&#x27;&gt; &nope; &#55555; &#0;<br />c')).to.equal(
      "a & b <''> &nope; &#55555; &#0;\nc",
    );
  });

  it('tidies line ends, invisible characters and composed letters', () => {
    expect(tidyText(' a\r\n b \u200B\t\n e\u0301 ')).to.equal('a\nb\n\u00e9');
  });
});

const wordOf = fc.constantFrom(
  ...[
    'the',
    'Rocket',
    'NASA',
    'iPhone',
    "don't",
    "it's",
    "We'll",
    "CAN'T",
    'well-known',
    'AT&T',
    '1,000',
    '3.5',
    '10:30',
  ],
  ...[
    'I',
    'A',
    'zzz',
    '#Mars',
    '@elonmusk',
    'https://t.co/x9',
    'naïve',
    'Straße',
    'km/h',
    '(really)',
    '"quoted words"',
  ],
  ...[
    '$5',
    '50%',
    '😀',
    '😀😀',
    '👍🏽',
    '“so”',
    'und so weiter...',
    '~30',
    '20+',
    '*so*',
    'what??',
    "O'Brien",
    '日本',
    '&',
    '-',
  ],
);
const sentence = fc
  .tuple(fc.array(wordOf, { minLength: 1, maxLength: 12 }), fc.constantFrom('.', '!', '?', '!!!', '...', ';', ''))
  // Next to each other these would be one run, or the end an address.
  .filter(([words]) => words.every((word, i) => word !== words[i + 1] && !(isEmoji(word) && isEmoji(words[i + 1]))))
  .filter(([words, end]) => !(/\.$/.test(words.at(-1)!) && end !== ''))
  .map(([words, end]) => words.join(' ') + (isSpaced(words.at(-1)!) ? '' : end));
const isEmoji = (word = ''): boolean => /^\p{Extended_Pictographic}/u.test(word);
const isSpaced = (word: string): boolean => word === '-' || word === '&';

describe('detokenise', () => {
  it('gives back what people write, letter by letter', () => {
    fc.assert(
      fc.property(fc.array(sentence, { minLength: 1, maxLength: 4 }), (lines) => {
        const text = lines.join('\n');
        expect(detokenise(tokenise(text))).to.equal(text);
      }),
      { numRuns: 500 },
    );
  });

  it('of any characters: the result has the same tokens', () => {
    const letters = fc.constantFrom(...'abAB15.,!?"\'()[]$-/&@#:;…“” \n_%😀é日'.split(''), '😀', "n't", "'s", ' ');
    // Marks that happen to stand like a face may become one.
    const face = /[:;]\s*-?\s*[()DP]/;
    const texts = fc
      .oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: letters, maxLength: 40 }))
      .filter((text) => !face.test(text));
    fc.assert(
      fc.property(texts, (text) => {
        const tokens = tokenise(text);
        expect(tokenise(detokenise(tokens, { unknown: '<unk>' }))).to.deep.equal(tokens);
      }),
      { numRuns: 2000 },
    );
  });

  it('omits stray special tokens, and shows no unknown word', () => {
    const tokens = ['xxbos', 'xxmaj', 'so', 'xxunk', 'xxrep', 'many', 'xxrep', '4', '!', 'xxpad', 'xxeos', 'xxmaj'];
    expect(detokenise(tokens)).to.equal('So many!!!!');
    expect(detokenise(['xxrep', '999999999', 'a'])).to.equal('999999999 a');
  });
});

describe('TextJoiner', () => {
  it('writes a word when it is complete, so that nothing it has told changes', () => {
    const joiner = new TextJoiner();
    const pieces = ['xxmaj', 'so', 'xxrep', '4', '!', 'xxwrep', '2', 'xxup', 'no', ',', 'xxrep', 'x', 'xxrep', '3'];
    const told = pieces.map((token) => joiner.add(token));
    expect(told).to.deep.equal(['', 'So', '', '', '!!!!', '', '', '', ' NO NO', ',', '', ' x', '', '']);
    expect(joiner.end()).to.equal(' 3');
    expect(detokenise(pieces)).to.equal('So!!!! NO NO, x 3');
  });
});

describe('vocabulary', () => {
  const counts = new Map([
    ['a', 3],
    ['xxbos', 9],
    ['rare', 2],
    ['often', 7],
    ['b', 3],
  ]);

  it('has the special words first, then the frequent ones; equally frequent ones in their order', () => {
    expect(makeVocab(counts).words).to.deep.equal([...specialTokens, 'often', 'a', 'b']);
    expect(makeVocab(counts, { minFreq: 1, maxVocab: specialTokens.length + 1 }).words.at(-1)).to.equal('often');
  });

  it('maps what it does not know to xxunk, and is the same after writing and reading', () => {
    const vocab = decodeVocab(encodeVocab(makeVocab(counts)));
    expect(vocab.textify(vocab.numericalise(['a', 'rare', 'often']))).to.deep.equal(['a', 'xxunk', 'often']);
    expect(vocab.words).to.deep.equal(makeVocab(counts).words);
  });

  it('refuses words given twice, other special words, and files that are not valid', () => {
    expect(() => new Vocab([...specialTokens, 'a', 'a'])).to.throw(/1 twice/);
    expect(() => new Vocab(['a'])).to.throw(/expected xxunk as word 0, got a/);
    expect(() => decodeVocab('{', 'v.json')).to.throw(/v\.json: expected JSON/);
    expect(() => decodeVocab('{"words":[]}')).to.throw(/fettle-vocab-1/);
  });
});
