import { expect } from 'chai';
import { compute, expectedOf, type Form } from './compute.ts';
import { type GoldenCase, goldenCases, largestSeen, relativeError } from './fixtures.ts';
import { layerForm } from './layer-forms.ts';
import { opForm } from './op-forms.ts';

/** Our f32 sums against float64: the worst case is a few rounding steps of the largest value. */
const tolerance = 5e-6;

const seen = largestSeen();

function check(golden: GoldenCase, form: Form): void {
  it(`${golden.op}, ${golden.name}`, async () => {
    const got = await compute(golden, form);
    for (const [name, tensor] of Object.entries(expectedOf(golden))) {
      const error = seen.note(relativeError(got[name]!, tensor), `${golden.op}, ${golden.name}, ${name}`);
      expect(error, name).to.be.below(tolerance);
    }
  });
}

after(() => console.log(`    values and gradients against PyTorch: ${seen.text()}, allowed ${tolerance}`));

const functions = goldenCases.filter(({ steps }) => steps === undefined);

describe('operators against PyTorch, forward and gradients', () => {
  for (const golden of functions) {
    const form = opForm(golden);
    if (form) check(golden, form);
  }
});

describe('layers and losses against PyTorch, forward and gradients', () => {
  for (const found of functions.map(layerForm)) if (found) check(found.golden, found.form);
});

describe('the PyTorch fixtures', () => {
  it('are all used', () => {
    const unused = functions.filter((golden) => !opForm(golden) && !layerForm(golden));
    expect(unused.map(({ op, name }) => `${op}, ${name}`)).to.deep.equal([]);
    expect(functions.length).to.be.greaterThan(50);
  });

  it('would show a wrong result', async () => {
    const golden = functions.find(({ op }) => op === 'conv2d')!;
    const flipped: Form = {
      ...opForm(golden)!,
      build: (inputs, attrs, scope) => opForm(golden)!.build({ ...inputs, b: undefined! }, attrs, scope),
    };
    const grads = Object.fromEntries(Object.entries(golden.grads!).filter(([name]) => name !== 'b'));
    const got = await compute({ ...golden, grads }, flipped);
    expect(relativeError(got.y!, expectedOf(golden).y!)).to.be.above(0.01);
    expect(relativeError(got['grad/w']!, expectedOf(golden)['grad/w']!)).to.be.below(tolerance);
  });
});
