import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { rootDir } from '../../../scripts/repo/source-files.ts';
import { FettleError } from '../../../training/core/errors.ts';
import type { Tensor } from '../../../training/core/tensor.ts';
import { encodeModel, type TensorProto } from '../../../training/onnx/schema.ts';
import { readWeightsFile } from '../../../training/weights/read.node.ts';
import { readWeights } from '../../../training/weights/read.ts';
import { pickle, pickledTensor, type TensorParts } from '../../helpers/pickle.ts';
import { zipOf } from '../../helpers/zip.ts';

const folder = join(rootDir, 'test', 'fixtures', 'weights');
const bytesOf = (name: string): Buffer => readFileSync(join(folder, name));
const jsonOf = <T>(name: string): T => JSON.parse(bytesOf(name).toString('utf8')) as T;

/** The error that reading gives; fails where reading succeeds or dies of something else. */
function refusal(bytes: Uint8Array): FettleError {
  try {
    readWeights(bytes, 'it');
  } catch (error) {
    if (error instanceof FettleError) return error;
    throw error;
  }
  return expect.fail('expected the file to be refused');
}

interface Listed {
  readonly dims: readonly number[];
  readonly values: readonly (number | boolean | string)[];
}

/** What odd.json states of a number as our tensors hold it. */
const plain = (value: number | bigint, like: number | boolean | string | undefined): unknown => {
  if (typeof like === 'string') return String(value).replace('Infinity', 'inf');
  return typeof like === 'boolean' ? value === 1 : Number(value);
};

function expectListed(tensors: ReadonlyMap<string, Tensor>, listed: Readonly<Record<string, Listed>>): void {
  expect([...tensors.keys()]).to.deep.equal(Object.keys(listed));
  for (const [name, { dims, values }] of Object.entries(listed)) {
    const { dims: ownDims, data } = tensors.get(name)!;
    expect(ownDims, name).to.deep.equal(dims);
    expect(
      Array.from(data as Float32Array, (value, i) => plain(value, values[i])),
      name,
    ).to.deep.equal(values);
  }
}

const odd = jsonOf<Record<string, Listed>>('odd.json');
const oddDtypes = {
  f16: 'float32',
  bf16: 'float32',
  f64: 'float64',
  i64: 'int64',
  i32: 'int32',
  i16: 'int32',
  i8: 'int32',
  u8: 'uint8',
  bool: 'bool',
};

/** A torch.save archive of one tensor `w`, whatever it claims, and its storage `0` of so many bytes. */
const archiveOf = (parts: TensorParts, bytes: number): Buffer =>
  zipOf([
    ['a/data.pkl', pickle.file(pickle.dict(pickle.text('w'), pickledTensor(parts)))],
    ['a/data/0', Uint8Array.from({ length: bytes }, (_, i) => i % 60)],
  ]);

const pickled = (value: Uint8Array | string): Buffer => zipOf([['a/data.pkl', pickle.file(value)]]);

describe('weight files', () => {
  for (const name of ['odd.pth', 'odd.legacy.pth', 'odd.safetensors'])
    it(`${name}: every type, views, shared storages, empty and scalar tensors, as PyTorch has them`, () => {
      const { tensors } = readWeights(bytesOf(name), name);
      expectListed(tensors, odd);
      for (const [one, dtype] of Object.entries(oddDtypes)) expect(tensors.get(one)!.dtype, one).to.equal(dtype);
      expect(Object.is(tensors.get('f16')!.data[1], -0)).to.equal(true);
    });

  it('odd.onnx: every type, as raw bytes and in its own field', () => {
    const { tensors, format } = readWeights(bytesOf('odd.onnx'), 'odd.onnx');
    expect(format).to.equal('onnx');
    expect(tensors.size).to.equal(21);
    const listed = jsonOf<Record<string, readonly number[]>>('odd.onnx.json');
    for (const [name, { dims, data }] of tensors) {
      const [type, kind] = name.split('.') as [string, string];
      expect(Array.from(data as Float32Array, Number), name).to.deep.equal(listed[type]);
      expect(dims, name).to.deep.equal(kind === 'raw' ? [2] : [2, 1]);
    }
  });

  it('the same bytes at any address give the same numbers', () => {
    for (const name of ['odd.pth', 'odd.safetensors', 'odd.legacy.pth'])
      for (const shift of [1, 2, 4, 7]) {
        const bytes = bytesOf(name);
        const larger = new Uint8Array(bytes.length + 8);
        larger.set(bytes, shift);
        expectListed(readWeights(larger.subarray(shift, shift + bytes.length)).tensors, odd);
      }
  });

  it('tensors that share a storage in the file share memory, those of other storages do not', () => {
    const { tensors } = readWeights(bytesOf('odd.pth'));
    const [base, row, other] = ['base', 'row', 'f64'].map((name) => tensors.get(name)!.data);
    expect(row!.buffer).to.equal(base!.buffer);
    expect(row!.byteOffset - base!.byteOffset).to.equal(12 * 4);
    (base as Float32Array)[12] = 99;
    expect(row![0]).to.equal(99);
    expect(other![0]).to.equal(1 / 3);
  });

  it("finds the state dict in a training script's checkpoint", async () => {
    const { tensors } = await readWeightsFile(join(folder, 'checkpoint.pth'));
    const values = Object.fromEntries([...tensors].map(([name, { data }]) => [name, Array.from(data as Float32Array)]));
    expect(values).to.deep.equal(jsonOf('linear.json'));
  });

  it('says what to do with files that hold no state dict', async () => {
    expect(refusal(bytesOf('module.pth')).message).to.match(
      /torch\.nn\.modules\.linear\.Linear, which is never loaded.*state_dict/,
    );
    expect(refusal(bytesOf('script.pt')).message).to.match(/torch\.jit\.save/);
    expect(refusal(Buffer.from('<!doctype html>')).message).to.match(/another kind/);
    expect(refusal(Buffer.alloc(0)).message).to.match(/another kind/);
    expect(refusal(zipOf([['word/document.xml', Buffer.from('x')]])).message).to.match(
      /data\.pkl.*word\/document\.xml/,
    );
    expect(refusal(pickled(pickle.dict(pickle.text('epoch'), pickle.int(3)))).message).to.match(/a dict of epoch/);
    expect(refusal(pickled(pickle.int(3))).message).to.match(/got no dict/);
    expect(refusal(pickle.file(pickle.int(3))).code).to.equal('bad-checkpoint');
    const missing = await readWeightsFile(join(folder, 'none.pth')).catch((error: unknown) => error);
    expect((missing as FettleError).code).to.equal('not-found');
  });
});

describe('pickles', () => {
  const dangerous: readonly (readonly [string, string])[] = [
    ['os', 'system'],
    ['posix', 'system'],
    ['builtins', 'eval'],
    ['torch', 'load'],
    ['torch._utils', '_rebuild_tensor_v2.__globals__'],
    ['collections', 'OrderedDict.__init__'],
    ['__proto__', 'constructor'],
    ['constructor', 'prototype'],
  ];
  for (const [module, name] of dangerous)
    it(`${module}.${name} is refused by its name, called or not`, () => {
      const target = pickle.global(module, name);
      const stack = pickle.joined(pickle.text(module), pickle.text(name), Buffer.from([0x93]));
      for (const value of [target, stack, pickle.call(target, pickle.text('echo'))]) {
        const { code, message } = refusal(pickled(pickle.dict(pickle.text('w'), value)));
        expect(code).to.equal('unsupported');
        expect(message).to.include(`Python object ${module}.${name}, which is never loaded`);
      }
    });

  it('opcodes that make objects, and calls of what is no function, are refused', () => {
    const dict = pickle.global('collections', 'OrderedDict');
    const cases: readonly (readonly [Uint8Array | string, RegExp])[] = [
      [pickle.joined(dict, pickle.tuple(), Buffer.from([0x81])), /opcode of plain data.*0x81/],
      [pickle.joined('i', 'os\nsystem\n'), /opcode of plain data.*0x69/],
      [pickle.joined('(', dict, 'o'), /opcode of plain data.*0x6f/],
      [pickle.call(pickle.text('x')), /call of a known function/],
      [pickle.call(pickle.global('torch', 'FloatStorage'), pickle.int(4)), /call of a known function/],
      [pickle.call(dict, pickle.tuple(pickle.int(1))), /pairs of an OrderedDict/],
      [pickle.joined(pickle.int(1), pickle.none, 'b'), /state of a dict/],
      [pickle.joined(pickle.int(1), pickle.int(2), 'a'), /expected a list/],
      [pickle.joined('}', '(', pickle.int(1), 'u'), /a dict and pairs/],
      ['', /expected a value/],
      ['(.', /expected a value/],
      ['t', /expected a mark/],
      ['h\x07', /remembered value.*index 7/],
      ['X\xff\xff\xff\xff', /the end of/],
      ['\x8b\xff\xff\xff\x7f', /an integer of up to/],
      [Buffer.from([0x80, 9]), /protocol 2\.\.5/],
      [pickle.persistent(pickle.int(0)), /reference to a storage/],
      [
        pickle.persistent(pickle.tuple(pickle.text('storage'), pickle.text('torch.FloatStorage'))),
        /reference to a storage/,
      ],
      [
        pickledTensor({ dims: [2], strides: [1], size: 2, type: 'QInt8Storage' }),
        /torch\.QInt8Storage, which is never loaded/,
      ],
    ];
    for (const [value, text] of cases) expect(refusal(pickled(value)).message, String(text)).to.match(text);
  });

  it('lists that hold themselves again and again, or deeply, are neither printed nor walked', () => {
    // An empty list, put into a pair with itself forty times: 2^40 leaves.
    const doubling = pickle.joined(']', ...Array.from({ length: 40 }, () => Buffer.from([0x32, 0x86])));
    const deep = pickle.joined(']', Buffer.alloc(200_000, 0x85));
    for (const list of [doubling, deep]) {
      expect(refusal(pickled(pickle.dict(list, pickle.int(1)))).message).to.match(/a dict of no names/);
      const name = pickle.joined(list, pickle.text('x'), Buffer.from([0x93]));
      expect(refusal(pickled(name)).message).to.match(/name of an object/);
      expect(refusal(pickled(pickle.persistent(list))).message).to.match(/reference to a storage/);
      const legacy = [
        pickle.joined('\x8a\x0a', Buffer.from('6cfc9c46f9206aa85019', 'hex')),
        pickle.joined('M', Buffer.of(0xe9, 3)),
        '}',
      ];
      const keys = pickle.file(pickle.joined(']', list, 'a'));
      const file = Buffer.concat([...legacy.map((part) => pickle.file(part)), pickle.file('}'), keys, Buffer.alloc(8)]);
      expect(refusal(file).message).to.match(/a storage of no elements/);
    }
    const header = Buffer.from(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    expect(refusal(Buffer.concat([length, header])).message).to.match(/expected a as a tensor.*nested deeply/);
  });

  it('tensors stay inside their storages, and storages inside the file', () => {
    const fits = { dims: [2, 3], strides: [3, 1], size: 6 };
    const { tensors } = readWeights(archiveOf(fits, 24));
    expect(tensors.get('w')!.dims).to.deep.equal([2, 3]);
    const cases: readonly (readonly [TensorParts, number, RegExp])[] = [
      [{ ...fits, offset: 1 }, 24, /w \[2,3\] within its storage of 6/],
      [{ ...fits, strides: [4, 1] }, 24, /within its storage/],
      [{ ...fits, dims: [3, 3] }, 24, /within its storage/],
      [{ ...fits, dims: [2 ** 30, 2 ** 30] }, 24, /within its storage/],
      [{ ...fits, dims: [2] }, 24, /storage, offset, size and strides/],
      [{ ...fits, dims: [-2, 3] }, 24, /storage, offset, size and strides/],
      [{ ...fits, offset: -1 }, 24, /storage, offset, size and strides/],
      [{ ...fits, strides: [-3, 1] }, 24, /storage, offset, size and strides/],
      [{ ...fits, size: 7 }, 24, /storage 0 of 28 bytes, got 24/],
      [{ ...fits, key: '1' }, 24, /storage 1 of 24 bytes, got none/],
      [{ ...fits, size: -6 }, 24, /reference to a storage/],
      // A view that repeats one element a billion times.
      [{ dims: [2 ** 15, 2 ** 15], strides: [0, 0], size: 1 }, 4, /about as large as the file/],
    ];
    for (const [parts, bytes, text] of cases)
      expect(refusal(archiveOf(parts, bytes)).message, String(text)).to.match(text);
  });
});

describe('ZIP archives', () => {
  const entries: readonly (readonly [string, Uint8Array])[] = [
    ['a/data.pkl', pickle.file(pickle.dict(pickle.text('w'), pickledTensor({ dims: [2], strides: [1], size: 2 })))],
    ['a/data/0', Uint8Array.of(0, 0, 128, 63, 0, 0, 0, 64)],
  ];
  const valuesOf = (bytes: Uint8Array) => [...(readWeights(bytes).tensors.get('w')!.data as Float32Array)];

  it('are read with 64-bit fields, and with a comment that looks like an end', () => {
    expect(valuesOf(zipOf(entries))).to.deep.equal([1, 2]);
    expect(valuesOf(zipOf(entries, { zip64: true }))).to.deep.equal([1, 2]);
    expect(valuesOf(zipOf(entries, { comment: 'PK\x05\x06 and more than twenty-two bytes' }))).to.deep.equal([1, 2]);
  });

  it('whose entries lie over each other are refused', () => {
    const archive = zipOf([...entries, ['a/data/1', new Uint8Array(8)]]);
    // The last directory record's sizes, in front of its lengths and name: all of the file.
    const record = archive.lastIndexOf(Buffer.from('PK\x01\x02', 'latin1'));
    archive.writeUInt32LE(archive.length, record + 20);
    archive.writeUInt32LE(archive.length, record + 24);
    expect(refusal(archive).message).to.match(/entries one after the other/);
  });

  it('are refused when compressed, changed, cut, or with a name twice', () => {
    expect(refusal(zipOf(entries, { method: 8 })).message).to.match(/compressed or encrypted/);
    const changed = zipOf(entries);
    changed[changed.indexOf(Buffer.of(0, 0, 128, 63))] = 1;
    expect(refusal(changed).message).to.match(/content of a\/data\/0 that was written/);
    expect(refusal(zipOf([...entries, entries[1]!])).message).to.match(/a\/data\/0 twice/);
    const whole = zipOf(entries);
    for (let length = 2; length < whole.length; length++) refusal(whole.subarray(0, length));
  });
});

describe('ONNX weights', () => {
  const modelOf = (proto: Partial<TensorProto>): Uint8Array =>
    encodeModel({
      irVersion: 8,
      opsetImport: [{ version: 18 }],
      metadataProps: [],
      graph: {
        node: [],
        initializer: [{ name: 'w', dims: [2], dataType: 1, ...proto }],
        input: [],
        output: [],
        valueInfo: [],
      },
    });

  it('outside the file, of other types, or of another size are refused', () => {
    const raw = (bytes: number) => ({ rawData: new Uint8Array(bytes) });
    expect(readWeights(modelOf(raw(8))).tensors.get('w')!.dims).to.deep.equal([2]);
    const external = { dataLocation: 1, externalData: [{ key: 'location', value: '../w.bin' }] };
    expect(refusal(modelOf(external)).message).to.match(
      /w: expected the numbers inside the file.*save_as_external_data=False/,
    );
    expect(refusal(modelOf({ ...raw(8), dataType: 8 })).message).to.match(/ONNX data type 8/);
    expect(refusal(modelOf(raw(7))).message).to.match(/F32 \[2\], got 7 bytes/);
    expect(refusal(modelOf({ floatData: [1, 2, 3] })).message).to.match(/got 12 bytes/);
    expect(refusal(modelOf({ dims: [-2], ...raw(8) })).message).to.match(/expected sizes/);
    expect(refusal(modelOf({ dims: [2n ** 62n, 4], ...raw(8) })).message).to.match(/expected sizes/);
    expect(refusal(Uint8Array.of(8, 8)).message).to.match(/with a graph/);
  });
});
