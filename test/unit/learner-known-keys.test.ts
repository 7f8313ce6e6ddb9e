import { expect } from 'chai';
import { FettleError } from '../../training/core/errors.ts';
import { knownKeys, namesOf, nearestName } from '../../training/core/known-keys.ts';

interface Options {
  readonly lr: number;
  readonly pctStart?: number;
}
const names = namesOf<Options>({ lr: true, pctStart: true });

describe('names of options', () => {
  it('an unknown name is an error that says the nearest known one', () => {
    const mistyped = { lr: 1, pct_start: 0.3 };
    expect(() => knownKeys('fit', mistyped, names)).to.throw(
      FettleError,
      'fit: expected options of the names lr, pctStart, got pct_start; did you mean pctStart?',
    );
    expect(() => knownKeys('fit', { momentum: 1 }, names)).to.throw('got momentum; leave it out');
    expect(() => knownKeys('fit', { lr: 1, pctStart: 0.2 }, names)).not.to.throw();
    expect(() => knownKeys('fit', {}, [])).not.to.throw();
  });

  it('options that are no object are named', () => {
    for (const [options, said] of [
      [0.1, '0.1'],
      [null, 'null'],
      [[1], 'a list'],
      ['x', 'x'],
    ] as const)
      expect(() => knownKeys('fit', options as unknown as object, names)).to.throw(
        FettleError,
        `fit: expected an object of options, got ${said}; there are lr, pctStart`,
      );
  });

  it('swapped, missing, superfluous and other letters are forgiven, other words are not', () => {
    const events = ['beforeEpoch', 'afterEpoch', 'afterBatch'];
    expect(nearestName('afterEpcoh', events)).to.equal('afterEpoch');
    expect(nearestName('after_batch', events)).to.equal('afterBatch');
    expect(nearestName('optimiser', ['options', 'optimizer'])).to.equal('optimizer');
    expect(nearestName('metric', ['metrics', 'mode'])).to.equal('metrics');
    expect(nearestName('beta_2', ['beta1', 'beta2'])).to.equal('beta2');
    expect(nearestName('seed', ['wd', 'lr'])).to.equal(undefined);
    expect(nearestName('seed', [])).to.equal(undefined);
  });
});
