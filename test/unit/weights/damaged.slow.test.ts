import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { rootDir } from '../../../scripts/repo/source-files.ts';
import { FettleError } from '../../../training/core/errors.ts';
import { readWeights } from '../../../training/weights/read.ts';
import { pickle, pickledTensor } from '../../helpers/pickle.ts';
import { zipOf } from '../../helpers/zip.ts';

const folder = join(rootDir, 'test', 'fixtures', 'weights');
const bytesOf = (name: string): Buffer => readFileSync(join(folder, name));

describe('damaged weight files', function () {
  this.timeout(60_000);
  const files = readdirSync(folder).filter((name) => !name.endsWith('.json') && bytesOf(name).length < 5000);

  it('there are some of each kind', () => {
    expect(files).to.include.members(['odd.pth', 'odd.legacy.pth', 'odd.safetensors', 'odd.onnx', 'checkpoint.pth']);
  });

  /** Reads and drops; anything but a FettleError is a failure. Returns the bytes that the tensors take. */
  function survive(bytes: Uint8Array): number {
    try {
      const { tensors } = readWeights(bytes);
      return [...tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
    } catch (error) {
      if (!(error instanceof FettleError)) throw error;
      expect(error.message).to.match(/expected .*got/s);
      return 0;
    }
  }

  for (const name of files) {
    const whole = new Uint8Array(bytesOf(name));

    it(`${name} cut off anywhere`, () => {
      for (let length = 0; length < whole.length; length++) expect(survive(whole.subarray(0, length))).to.be.below(1e6);
    });

    it(`${name} with some bytes changed`, () => {
      const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
      fc.assert(
        fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
          const bytes = whole.slice();
          for (const [at, value] of changes) bytes[at] = value;
          expect(survive(bytes)).to.be.below(80e6);
        }),
        { numRuns: 3000, seed: 9 },
      );
    });
  }

  it('a pickle with some bytes changed, its checksum right', () => {
    const source = pickle.file(
      pickle.dict(
        pickle.text('w'),
        pickledTensor({ dims: [2, 3], strides: [3, 1], size: 6 }),
        pickle.text('v'),
        pickledTensor({ dims: [3, 2], strides: [1, 3], size: 6, key: '0' }),
      ),
    );
    const change = fc.tuple(fc.nat(source.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const bytes = Uint8Array.from(source);
        for (const [at, value] of changes) bytes[at] = value;
        expect(
          survive(
            zipOf([
              ['a/data.pkl', bytes],
              ['a/data/0', new Uint8Array(24)],
            ]),
          ),
        ).to.be.below(80e6);
      }),
      { numRuns: 5000, seed: 10 },
    );
  });

  it('random bytes behind the first ones of each format', () => {
    const starts = [
      [0x50, 0x4b, 3, 4],
      [0x80, 2],
      [8, 7, 58],
      [40, 0, 0, 0, 0, 0, 0, 0, 0x7b],
    ];
    fc.assert(
      fc.property(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 300 }), (start, rest) => {
        expect(survive(Uint8Array.from([...start, ...rest]))).to.be.below(80e6);
      }),
      { numRuns: 5000, seed: 11 },
    );
  });
});
