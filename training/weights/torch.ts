import { ensure, FettleError } from '../core/errors.ts';
import { sizeOf, type Tensor } from '../core/tensor.ts';
import { ByteReader } from './bytes.ts';
import { type PickleGlobal, type PickleHost, readPickle } from './pickle.ts';
import { byteSizeOf, isCount, readStored, type StoredType, tensorOfStored } from './stored.ts';
import { openZip } from './zip.ts';

/*
 * Files of torch.save (torch/serialization.py). Since PyTorch 1.6: a ZIP archive with `data.pkl`, a pickle in which tensors refer to storages by
 * key, and one entry `data/KEY` of raw numbers per storage. Before: four pickles one after the other (magic number, version,
 * system, object), the list of keys, then the numbers of every storage.
 */

/** Numbers that tensors are windows of, so many elements. */
class Storage {
  readonly key: string;
  readonly type: StoredType;
  readonly size: number;
  constructor(key: string, type: StoredType, size: number) {
    this.key = key;
    this.type = type;
    this.size = size;
  }
}

/** A tensor as the pickle describes it: strides and offset in elements of the storage. */
class Window {
  readonly storage: Storage;
  readonly offset: number;
  readonly dims: readonly number[];
  readonly strides: readonly number[];
  constructor(storage: Storage, { offset, dims, strides }: Omit<Window, 'storage'>) {
    this.storage = storage;
    this.offset = offset;
    this.dims = dims;
    this.strides = strides;
  }
}

/** What storages' class names say of their elements. */
const storageTypes: Readonly<Record<string, StoredType>> = {
  'torch.DoubleStorage': 'F64',
  'torch.FloatStorage': 'F32',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
  'torch.LongStorage': 'I64',
  'torch.IntStorage': 'I32',
  'torch.ShortStorage': 'I16',
  'torch.CharStorage': 'I8',
  'torch.ByteStorage': 'U8',
  'torch.BoolStorage': 'BOOL',
};

class StorageType implements PickleGlobal {
  readonly name: string;
  readonly type: StoredType;
  constructor(name: string, type: StoredType) {
    this.name = name;
    this.type = type;
  }
}

const damaged = (what: string, expected: string, got: unknown): FettleError =>
  new FettleError('bad-checkpoint', `${what}: expected ${expected}, got ${got}; the file is damaged`);

const isCounts = (value: unknown): value is readonly number[] => Array.isArray(value) && value.every(isCount);

/** The storages of one file, and the names its pickle may use. */
class TorchHost implements PickleHost {
  readonly storages = new Map<string, Storage>();
  readonly #what: string;
  readonly #known: ReadonlyMap<string, PickleGlobal>;

  constructor(what: string) {
    this.#what = what;
    const functions: Readonly<Record<string, (args: readonly unknown[]) => unknown>> = {
      'collections.OrderedDict': (args) => this.#dict(args),
      'torch._utils._rebuild_tensor_v2': (args) => this.#tensor(args),
      'torch._utils._rebuild_parameter': ([data]) => data,
      'torch.Size': ([dims]) => dims,
    };
    this.#known = new Map<string, PickleGlobal>([
      ...Object.entries(functions).map(([name, call]) => [name, { name, call }] as const),
      ...Object.entries(storageTypes).map(([name, type]) => [name, new StorageType(name, type)] as const),
    ]);
  }

  readonly global = (name: string): PickleGlobal | undefined => this.#known.get(name);

  /** ('storage', class, key, device, elements, and in old files a window of another storage). */
  readonly persistent = (id: unknown): Storage => {
    const [kind, type, key, , size, view] = Array.isArray(id) ? (id as unknown[]) : [];
    if (kind !== 'storage' || !(type instanceof StorageType) || typeof key !== 'string' || !isCount(size))
      throw damaged(this.#what, 'a reference to a storage', 'something else');
    ensure(view === undefined || view === null, 'unsupported', () => {
      return `${this.#what}: expected whole storages, got a window of one, as PyTorch before 0.4 wrote; load it there and save it again`;
    });
    const known = this.storages.get(key);
    if (known !== undefined && (known.type !== type.type || known.size !== size))
      throw damaged(this.#what, `storage ${key} as ${known.type} of ${known.size}`, `${type.type} of ${size}`);
    const storage = known ?? new Storage(key, type.type, size);
    this.storages.set(key, storage);
    return storage;
  };

  #dict([pairs = []]: readonly unknown[]): Map<unknown, unknown> {
    const isPairs = Array.isArray(pairs) && pairs.every((pair) => Array.isArray(pair) && pair.length === 2);
    if (!isPairs) throw damaged(this.#what, 'pairs of an OrderedDict', 'something else');
    return new Map(pairs as [unknown, unknown][]);
  }

  /** (storage, offset, size, strides, requires_grad, hooks). */
  #tensor([storage, offset, dims, strides]: readonly unknown[]): Window {
    const isWindow = storage instanceof Storage && isCount(offset) && isCounts(dims) && isCounts(strides);
    if (!isWindow || dims.length !== strides.length)
      throw damaged(this.#what, 'storage, offset, size and strides of a tensor', 'something else');
    return new Window(storage, { offset, dims, strides });
  }
}

/** Whether elements lie one after the other in row-major order; strides of axes of size 1 do not matter. */
function isDense({ dims, strides }: Window): boolean {
  let step = 1;
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    if (dims[axis] !== 1 && strides[axis] !== step) return false;
    step *= dims[axis]!;
  }
  return true;
}

/** The elements of a window in row-major order. `data` is the storage's. */
function gather({ offset, dims, strides }: Window, data: Tensor['data']): Tensor['data'] {
  const out = new (data.constructor as Float32ArrayConstructor)(sizeOf(dims));
  const source = data as Float32Array;
  const index = dims.map(() => 0);
  let from = offset;
  for (let i = 0; i < out.length; i++) {
    out[i] = source[from]!;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < dims[axis]!) break;
      from -= strides[axis]! * dims[axis]!;
      index[axis] = 0;
    }
  }
  return out as Tensor['data'];
}

/** Windows that are not dense may repeat elements (`expand`), so what they take together is bounded: bytes, beside four times the file. */
const gatherFloorBytes = 64 * 2 ** 20;

/** Tensors of windows. `bytesOf` gives a storage's bytes, at least as many as its elements need. */
function tensorReader(what: string, fileBytes: number, bytesOf: (storage: Storage) => Uint8Array) {
  const decoded = new Map<string, Tensor['data']>();
  let room = gatherFloorBytes + 4 * fileBytes;
  const dataOf = (storage: Storage): Tensor['data'] => {
    const data = decoded.get(storage.key) ?? readStored(storage.type, bytesOf(storage));
    decoded.set(storage.key, data);
    return data;
  };
  return (name: string, window: Window): Tensor => {
    const { storage, offset, dims, strides } = window;
    const count = sizeOf(dims);
    const last = count === 0 ? -1 : dims.reduce((at, dim, axis) => at + (dim - 1) * strides[axis]!, offset);
    if (!isCount(count) || last >= storage.size)
      throw damaged(
        what,
        `${name} [${dims}] within its storage of ${storage.size}`,
        `strides [${strides}], offset ${offset}`,
      );
    const data = dataOf(storage);
    if (count === 0 || isDense(window))
      return tensorOfStored(
        storage.type,
        dims,
        data.subarray(count === 0 ? 0 : offset, count === 0 ? 0 : offset + count),
      );
    room -= count * data.BYTES_PER_ELEMENT;
    ensure(room >= 0, 'unsupported', () => {
      return `${what}: expected tensors about as large as the file, got ${name} [${dims}] as a view of ${storage.size} elements; save it with .contiguous()`;
    });
    return tensorOfStored(storage.type, dims, gather(window, data));
  };
}

/** Keys under which training scripts keep the state dict beside other things. */
const nestedKeys = ['state_dict', 'model_state_dict', 'model', 'weights', 'params'] as const;

const windowsOf = (dict: unknown): (readonly [string, Window])[] =>
  dict instanceof Map
    ? [...dict].filter((pair): pair is [string, Window] => typeof pair[0] === 'string' && pair[1] instanceof Window)
    : [];

/** The state dict that a file holds: the object itself, or what lies in it under one of the usual keys. */
function findStateDict(root: unknown, what: string): readonly (readonly [string, Window])[] {
  const direct = windowsOf(root);
  if (direct.length > 0 || !(root instanceof Map)) return needTensors(direct, root, what);
  const key = nestedKeys.find((one) => windowsOf(root.get(one)).length > 0);
  return needTensors(windowsOf(root.get(key)), root, what);
}

function needTensors<T>(found: readonly T[], root: unknown, what: string): readonly T[] {
  const names = root instanceof Map ? [...root.keys()].filter((key) => typeof key === 'string') : [];
  const keys = root instanceof Map ? `a dict of ${names.slice(0, 5).join(', ') || 'no names'}` : 'no dict';
  ensure(found.length > 0, 'bad-checkpoint', () => {
    return `${what}: expected a dict of tensors, got ${keys}; in Python, save model.state_dict()`;
  });
  return found;
}

/** Tensors of a ZIP file of torch.save, by name. Throws `bad-checkpoint`, `unsupported`; executes nothing. */
export function readTorchZip(bytes: Uint8Array, what: string): Map<string, Tensor> {
  const archive = openZip(bytes, what);
  const pickle = archive.names.find((name) => name === 'data.pkl' || name.endsWith('/data.pkl'));
  ensure(pickle !== undefined, 'unsupported', () => {
    return `${what}: expected data.pkl of torch.save in the archive, got ${archive.names.slice(0, 5).join(', ') || 'nothing'}`;
  });
  const root = pickle.slice(0, -'data.pkl'.length);
  ensure(!archive.names.includes(`${root}constants.pkl`), 'unsupported', () => {
    return `${what}: expected a file of torch.save, got one of torch.jit.save; in Python, torch.save(torch.jit.load(path).state_dict(), other)`;
  });
  const order = archive.read(`${root}byteorder`);
  ensure(order === undefined || new TextDecoder().decode(order) === 'little', 'unsupported', () => {
    return `${what}: expected little-endian numbers, got big-endian ones; save it again on a little-endian machine`;
  });
  const host = new TorchHost(what);
  const object = readPickle(new ByteReader(archive.read(pickle)!, `${what}, ${pickle}`), host);
  const tensorOf = tensorReader(what, bytes.length, ({ key, type, size }) => {
    const content = archive.read(`${root}data/${key}`);
    const length = size * byteSizeOf(type)!;
    if (content === undefined || content.length < length)
      throw damaged(what, `storage ${key} of ${length} bytes`, `${content?.length ?? 'none'}`);
    return content.subarray(0, length);
  });
  return new Map(findStateDict(object, what).map(([name, window]) => [name, tensorOf(name, window)]));
}

const magicNumber = 0x1950a86a20f9469cfc6cn;
const legacyVersion = 1001;

/** Tensors of a file of torch.save before PyTorch 1.6, by name. */
export function readTorchLegacy(bytes: Uint8Array, what: string): Map<string, Tensor> {
  const reader = new ByteReader(bytes, what);
  const host = new TorchHost(what);
  const [magic, version, system] = [readPickle(reader, host), readPickle(reader, host), readPickle(reader, host)];
  ensure(magic === magicNumber && version === legacyVersion && system instanceof Map, 'unsupported', () => {
    return `${what}: expected a file of torch.save, got another pickle; in Python, torch.save(state_dict, path)`;
  });
  ensure(system.get('little_endian') !== false, 'unsupported', () => {
    return `${what}: expected little-endian numbers, got big-endian ones; save it again on a little-endian machine`;
  });
  const object = readPickle(reader, host);
  const contents = readLegacyStorages(reader, host, readPickle(reader, host));
  const tensorOf = tensorReader(what, bytes.length, ({ key }) => {
    const content = contents.get(key);
    if (content === undefined) throw damaged(what, `the numbers of storage ${key}`, 'none');
    return content;
  });
  return new Map(findStateDict(object, what).map(([name, window]) => [name, tensorOf(name, window)]));
}

/** Each storage in the order of `keys`: u64 elements, then their bytes. */
function readLegacyStorages(reader: ByteReader, { storages }: TorchHost, keys: unknown): Map<string, Uint8Array> {
  const contents = new Map<string, Uint8Array>();
  for (const key of Array.isArray(keys) ? (keys as unknown[]) : []) {
    const storage = storages.get(key as string);
    const size = reader.u64();
    if (storage?.size !== size)
      throw damaged(reader.what, `a storage of ${storage?.size ?? 'no'} elements before byte ${reader.position}`, size);
    contents.set(storage.key, reader.take(size * byteSizeOf(storage.type)!));
  }
  return contents;
}
