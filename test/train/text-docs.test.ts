import { expect } from 'chai';
import { examplesOf, runExample } from '../helpers/example.ts';

describe('the example in docs/reference/text.md', function () {
  this.timeout(60_000);

  it('learns a small language and writes in it', () => {
    const [example, ...others] = examplesOf('docs/reference/text.md');
    expect(others).to.deep.equal([]);
    const printed = runExample(example!).trim().split('\n');
    // Three coins are thrown in every sentence of eight tokens: no model can know better than about 2^(3/8) = 1.30.
    const perplexity = Number(/^perplexity (\d+\.\d\d)$/.exec(printed[0]!)?.[1]);
    expect(perplexity).to.be.within(1.25, 1.5);
    expect(printed).to.have.length(4);
    for (const line of printed.slice(1)) expect(line).to.match(/^The dog (sees|likes) the (moon|sea)\.$/);
  });
});
