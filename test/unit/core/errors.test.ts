import { expect } from 'chai';
import { FettleError, messageOf } from '../../../training/core/errors.ts';

describe('messageOf', () => {
  it('is the message of errors of every class', () => {
    expect(messageOf(new FettleError('bad-data', 'x: expected y'))).to.equal('x: expected y');
    expect(messageOf(new RangeError('too far'))).to.equal('too far');
  });

  it('is the text of what is thrown without being an Error', () => {
    expect(messageOf('plain')).to.equal('plain');
    expect(messageOf(undefined)).to.equal('undefined');
    expect(messageOf({ message: 'not an Error' })).to.equal('[object Object]');
  });
});
