import { expect } from 'chai';
import { examplesOf, runExample } from '../helpers/example.ts';

describe('the example in the README', () => {
  it('runs, and finds the line', () => {
    const [example, ...others] = examplesOf('README.md');
    expect(others).to.deep.equal([]);
    const [, w, b] = /^w (\S+), b (\S+)$/m.exec(runExample(example!))!.map(Number);
    expect(w).to.be.closeTo(2, 0.02);
    expect(b).to.be.closeTo(1, 0.02);
  }).timeout(10_000);
});
