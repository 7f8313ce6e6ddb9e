import { expect } from 'chai';
import { cleanPost, cleanPosts, parsePosts, splitByTime } from '../../../training/text/posts.ts';

describe('reading posts', () => {
  it('of a table', () => {
    const posts = parsePosts('date,text\n2020-01-02T00:00:00Z,"One, ""two"""\n,x\n', 'a.csv');
    expect(posts).to.deep.equal([
      { text: 'One, "two"', time: Date.UTC(2020, 0, 2) },
      { text: 'x', time: undefined },
    ]);
    expect(parsePosts('when,said\n1,hi\n', 'a.csv', 'said')[0]!.text).to.equal('hi');
  });

  it('of lines or a list of JSON', () => {
    const lines = '{"content":"a","timestamp":1577923200}\n\n{"content":"b","timestamp":1577923200000}\n';
    const times = parsePosts(lines, 'a.jsonl').map(({ time }) => time);
    expect(times).to.deep.equal([Date.UTC(2020, 0, 2), Date.UTC(2020, 0, 2)]);
    expect(parsePosts('[{"body":"a"}]', 'a.json')).to.deep.equal([{ text: 'a', time: undefined }]);
  });

  it("of an archive's tweets.js", () => {
    const js =
      'window.YTD.tweets.part0 = [ {"tweet": {"full_text": "hi &amp; ho", "created_at": "Wed Oct 10 20:19:24 +0000 2018"}} ]';
    expect(parsePosts(js, 'tweets.js')).to.deep.equal([
      { text: 'hi &amp; ho', time: Date.UTC(2018, 9, 10, 20, 19, 24) },
    ]);
  });

  it('says what it cannot read, and where', () => {
    expect(() => parsePosts('{"text":1}\n{', 'a.jsonl')).to.throw(/a\.jsonl, line 2: expected JSON/);
    expect(() => parsePosts('id,said\n1,hi\n', 'a.csv')).to.throw(
      /a column text or full_text .* got id, said; name it with --column/,
    );
    expect(() => parsePosts('[1]', 'a.json')).to.throw(/expected objects, got 1 as number 1/);
    expect(() => parsePosts('x', 'a.doc')).to.throw(/expected a file \.csv/);
    expect(() => parsePosts('[]', 'a.js')).to.throw(/no "="/);
  });
});

describe('cleaning posts', () => {
  it('takes out links of t.co and the names of a reply, straightens quotes, decodes references', () => {
    expect(cleanPost('@a @b_c  It’s “so”&nbsp;good &amp; cheap https://t.co/x9Y see https://a.org/b')).to.equal(
      'It\'s "so" good & cheap see https://a.org/b',
    );
    expect(cleanPost('one\r\ntwo https://t.co/x\n')).to.equal('one\ntwo');
    expect(cleanPost('ask @a')).to.equal('ask @a');
  });

  it('omits retweets, cut, empty and repeated ones, counts them, and sorts by time', () => {
    const of = (text: string, time: number) => ({ text, time });
    const { posts, dropped } = cleanPosts([
      of('Same https://t.co/a', 5),
      of('RT @x: hello', 1),
      of('same', 6),
      of('https://t.co/b', 2),
      of('!!!', 2),
      of(`${'long '.repeat(30)}…`, 3),
      of('short…', 4),
    ]);
    expect(posts.map(({ text }) => text)).to.deep.equal(['short…', 'Same']);
    expect(dropped).to.deep.equal({ retweets: 1, cut: 1, empty: 2, duplicates: 1 });
  });

  it('holds out the latest', () => {
    const posts = Array.from({ length: 30 }, (_, i) => ({ text: `${i}`, time: i }));
    const { train, valid } = splitByTime(posts);
    expect(valid.map(({ time }) => time)).to.deep.equal([27, 28, 29]);
    expect(train).to.have.length(27);
    expect(() => splitByTime(posts.slice(0, 1))).to.throw(/at least 2, got 1/);
  });

  it('names a table that is empty', () => {
    for (const content of ['', ' \n'])
      expect(() => parsePosts(content, 'mine.csv')).to.throw(/^mine\.csv: .*empty file/);
  });
});
