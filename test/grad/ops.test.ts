import { expect } from 'chai';
import { gradRules } from '../../training/grad/table.ts';
import type { OpName } from '../../training/ops/table.ts';
import { gradientError } from './check.ts';
import { samples } from './samples.ts';

describe('grad: every operator against central differences', () => {
  for (const [op, rows] of Object.entries(samples)) {
    if (rows === 'none') {
      it(`${op} has no derivative, and says so`, () => {
        expect(gradRules[op as OpName]).to.equal('none');
      });
      continue;
    }
    for (const sample of rows) {
      it(`${op}: ${sample.name}`, async () => {
        expect(await gradientError(sample)).to.be.below(2e-3);
      });
    }
  }
});
