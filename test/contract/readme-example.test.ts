import { expect } from 'chai';
import { examplesOf, runExample } from '../helpers/example.ts';

describe('the example in the README', () => {
  it('runs, and finds the line', () => {
    const printed = runExample(examplesOf('README.md')[0]!);
    const losses = [...printed.matchAll(/loss ([\d.]+)/g)].map((match) => Number(match[1]));
    const [, w, b] = /w (\S+), b (\S+)/.exec(printed)!.map(Number);
    expect(losses).to.have.length(3);
    expect(losses[0]).to.be.above(0.5);
    expect(w).to.be.closeTo(2, 0.02);
    expect(b).to.be.closeTo(1, 0.02);
  });
});
