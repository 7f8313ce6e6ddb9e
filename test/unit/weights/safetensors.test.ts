import { expect } from 'chai';
import fc from 'fast-check';
import { FettleError } from '../../../training/core/errors.ts';
import { f32 } from '../../../training/core/tensor.ts';
import { decodeSafetensors, encodeSafetensors } from '../../../training/weights/safetensors.ts';

/** A file from a header as it is given, true or not, and some bytes behind it. */
function fileOf(header: unknown, dataBytes: number): Uint8Array {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, Buffer.alloc(dataBytes)]);
}

const entry = (start: number, end: number, shape: readonly unknown[] = [(end - start) / 4], dtype = 'F32') => ({
  dtype,
  shape,
  data_offsets: [start, end],
});

/** The error that reading gives; fails where reading succeeds or dies of something else. */
function refusal(bytes: Uint8Array): FettleError {
  try {
    decodeSafetensors(bytes, 'it');
  } catch (error) {
    if (error instanceof FettleError) return error;
    throw error;
  }
  return expect.fail('expected the file to be refused');
}

const example = encodeSafetensors({
  tensors: new Map([
    ['a.weight', f32([2, 3], [1, -2, 3.5, Number.MIN_VALUE, 1e38, -0])],
    ['b', f32([], [7])],
    ['empty', f32([0, 4], [])],
  ]),
  metadata: { format: 'x', note: 'ä "quoted"\n' },
});

describe('safetensors', () => {
  it('gives back names, shapes, bits and metadata', () => {
    const { tensors, metadata } = decodeSafetensors(example);
    expect([...tensors].map(([name, { dims, data }]) => [name, dims, [...data]])).to.deep.equal([
      ['a.weight', [2, 3], [1, -2, 3.5, 0, Math.fround(1e38), -0]],
      ['b', [], [7]],
      ['empty', [0, 4], []],
    ]);
    expect(Object.is(tensors.get('a.weight')!.data[5], -0)).to.equal(true);
    expect(metadata).to.deep.equal({ format: 'x', note: 'ä "quoted"\n' });
    expect(encodeSafetensors({ tensors, metadata })).to.deep.equal(example);
  });

  it('is laid out as the format says: length, JSON header on 8 bytes, data', () => {
    const view = new DataView(example.buffer);
    const length = Number(view.getBigUint64(0, true));
    expect(length % 8).to.equal(0);
    const header = JSON.parse(new TextDecoder().decode(example.subarray(8, 8 + length)));
    expect(header['a.weight']).to.deep.equal(entry(0, 24, [2, 3]));
    expect(header.b).to.deep.equal(entry(24, 28, []));
    expect(view.getFloat32(8 + length + 24, true)).to.equal(7);
  });

  it('reads from the middle of a larger buffer, whatever its alignment', () => {
    for (const shift of [1, 2, 3]) {
      const larger = new Uint8Array(example.length + 8);
      larger.set(example, shift);
      const { tensors } = decodeSafetensors(larger.subarray(shift, shift + example.length));
      expect(tensors.get('a.weight')!.data[2]).to.equal(3.5);
    }
  });

  it('refuses a file cut off anywhere, and one with bytes behind its end', () => {
    for (let length = 0; length < example.length; length++) {
      const { code, message } = refusal(example.subarray(0, length));
      expect([code, message.startsWith('it: expected ')], `${length} bytes: ${message}`).to.deep.equal([
        'bad-checkpoint',
        true,
      ]);
    }
    expect(refusal(Buffer.concat([example, Buffer.alloc(1)])).message).to.match(/gaps or overlaps/);
  });

  it('refuses offsets that overlap, leave gaps or lie outside, and headers that are no headers', () => {
    const cases: readonly (readonly [unknown, number, RegExp])[] = [
      [{ a: entry(0, 8), b: entry(4, 12) }, 12, /gaps or overlaps/],
      [{ a: entry(0, 8), b: entry(0, 8) }, 8, /gaps or overlaps/],
      [{ a: entry(0, 4), b: entry(8, 12) }, 12, /gaps or overlaps/],
      [{ a: entry(4, 8) }, 8, /gaps or overlaps/],
      [{ a: entry(0, 400) }, 8, /expected a as an F32/],
      [{ a: entry(-4, 0) }, 8, /expected a as an F32/],
      [{ a: entry(8, 4) }, 8, /expected a as an F32/],
      [{ a: entry(0, 8, [3]) }, 8, /expected a as an F32/],
      [{ a: entry(0, 8, [-1, -2]) }, 8, /expected a as an F32/],
      [{ a: entry(0, 8, [0.5, 4]) }, 8, /expected a as an F32/],
      [{ a: entry(0, 8, ['2']) }, 8, /expected a as an F32/],
      [{ a: entry(0, 2 ** 60, [2 ** 58]) }, 8, /expected a as an F32/],
      [{ a: entry(0, 8, [4], 'F16') }, 8, /expected a as an F32/],
      [{ a: null }, 8, /expected a as an F32/],
      [{ a: { dtype: 'F32', shape: [2] } }, 8, /expected a as an F32/],
      [{ __metadata__: { step: 3 } }, 0, /metadata of texts/],
      [[1, 2], 0, /JSON header/],
      ['null', 0, /JSON header/],
      ['{"a":', 0, /JSON header/],
    ];
    for (const [header, size, text] of cases) {
      const { code, message } = refusal(fileOf(header, size));
      expect(code).to.equal('bad-checkpoint');
      expect(message, JSON.stringify(header)).to.match(text);
    }
    const absurd = Buffer.alloc(64, 0xff);
    expect(refusal(absurd).message).to.match(/truncated or not safetensors/);
  });

  it('never dies of anything else, whatever byte is changed', () => {
    fc.assert(
      fc.property(fc.nat(example.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bytes = example.slice();
        bytes[at]! ^= change;
        try {
          decodeSafetensors(bytes);
        } catch (error) {
          expect(error).to.be.instanceOf(FettleError);
        }
      }),
      { numRuns: 500, seed: 4 },
    );
  });
});
