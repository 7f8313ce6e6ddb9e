import { dtypeOfCode, dtypes } from '../core/dtype.ts';
import { ensure, FettleError } from '../core/errors.ts';
import { sizeOf, type Tensor } from '../core/tensor.ts';
import { decodeFlat, encodeFlat, type FlatSpec, field, tables } from './flat-table.ts';

/*
 * The checkpoint of ONNX Runtime's on-device training: a FlatBuffer of the schema ort_training_checkpoint.fbs with the
 * identifier ODTC. The runtime takes exactly version 2.
 */

export interface OrtOptimizerState {
  /** Updates done so far. */
  readonly step: number;
  /** Of the runtime's own scheduler; its sessions begin at 0.001 whatever is written here. */
  readonly initialLr: number;
  /** The moments of each trained parameter, `momentum0` first. */
  readonly moments: ReadonlyMap<string, readonly Tensor[]>;
}

export interface OrtCheckpoint {
  readonly trained: ReadonlyMap<string, Tensor>;
  readonly frozen: ReadonlyMap<string, Tensor>;
  /** The one group that the runtime knows, `group0`. */
  readonly optimizer?: OrtOptimizerState;
  /** The user's own facts: whole numbers, other numbers (kept as f32, so at most 3.4e38) and texts. */
  readonly properties?: ReadonlyMap<string, number | string>;
}

interface TensorTable {
  readonly name?: string;
  readonly dims?: readonly number[];
  readonly dataType: number;
  readonly rawData?: Uint8Array;
}
interface StateTable {
  readonly paramName?: string;
  readonly momentums?: readonly TensorTable[];
}
interface GroupTable {
  readonly groupName?: string;
  readonly step: number;
  readonly initialLr: number;
  readonly states?: readonly StateTable[];
}
interface Property<T> {
  readonly name?: string;
  readonly value: T;
}
interface BagTable {
  readonly ints?: readonly Property<number>[];
  readonly floats?: readonly Property<number>[];
  readonly strings?: readonly Property<string | undefined>[];
}
interface ModuleTable {
  readonly trained?: readonly TensorTable[];
  readonly frozen?: readonly TensorTable[];
  readonly nominal?: boolean;
  readonly external?: boolean;
}
interface CheckpointTable {
  readonly version: number;
  readonly module?: ModuleTable;
  readonly groups?: readonly GroupTable[];
  readonly properties?: BagTable;
}

const tensorTable: FlatSpec = {
  name: field(0, 'text'),
  dims: field(2, 'longs'),
  dataType: field(3, 'int'),
  rawData: field(4, 'bytes'),
};
const moduleTable: FlatSpec = {
  trained: tables(0, () => tensorTable),
  frozen: tables(1, () => tensorTable),
  nominal: field(2, 'bool'),
  external: field(3, 'bool'),
};
const stateTable: FlatSpec = { paramName: field(0, 'text'), momentums: tables(1, () => tensorTable) };
const groupTable: FlatSpec = {
  groupName: field(0, 'text'),
  step: field(1, 'long'),
  initialLr: field(2, 'float'),
  states: tables(3, () => stateTable),
};
const intTable: FlatSpec = { name: field(0, 'text'), value: field(1, 'long') };
const floatTable: FlatSpec = { name: field(0, 'text'), value: field(1, 'float') };
const stringTable: FlatSpec = { name: field(0, 'text'), value: field(1, 'text') };
const bagTable: FlatSpec = {
  ints: tables(0, () => intTable),
  floats: tables(1, () => floatTable),
  strings: tables(2, () => stringTable),
};
const checkpointTable: FlatSpec = {
  version: field(0, 'int'),
  module: field(1, () => moduleTable),
  groups: tables(2, () => groupTable),
  properties: field(3, () => bagTable),
};

const identifier = 'ODTC';
const version = 2;
const groupName = 'group0';
const limitBytes = 2 ** 30;

const bad = (reason: string): FettleError =>
  new FettleError(
    'bad-checkpoint',
    `decodeOrtCheckpoint: expected a training checkpoint of ONNX Runtime (${identifier}, version ${version}), got ${reason}; the file is damaged or something else`,
  );

const tensorOut = (name: string, { dtype, dims, data }: Tensor): TensorTable => ({
  name,
  dims,
  dataType: dtypes[dtype].onnxCode,
  rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
});

/** By name, as the runtime's own files are: a vector of tables in the order of their names' code units. */
const sorted = <T>(map: ReadonlyMap<string, T>): (readonly [string, T])[] =>
  [...map].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));

const tensorsOut = (map: ReadonlyMap<string, Tensor>): TensorTable[] =>
  sorted(map).map(([name, one]) => tensorOut(name, one));

const groupOut = ({ step, initialLr, moments }: OrtOptimizerState): GroupTable => ({
  groupName,
  step,
  initialLr,
  states: sorted(moments).map(([paramName, list]) => ({
    paramName,
    momentums: list.map((one, i) => tensorOut(`momentum${i}`, one)),
  })),
});

/** Throws `bad-argument` where the file would not give back what is put in. */
function checkProperties(properties: ReadonlyMap<string, number | string>): void {
  ensure(properties instanceof Map, 'bad-argument', () => {
    return 'encodeOrtCheckpoint: expected properties as a Map of names to numbers and texts, got something else';
  });
  for (const [name, value] of properties as ReadonlyMap<unknown, unknown>) {
    const fits = typeof value === 'number' && (Number.isFinite(Math.fround(value)) || !Number.isFinite(value));
    ensure(typeof name === 'string' && (typeof value === 'string' || fits), 'bad-argument', () => {
      const got = typeof value === 'number' ? value : typeof value;
      return `encodeOrtCheckpoint: expected the property ${name} as a text or a number that f32 has, got ${got}; make a text of it`;
    });
  }
}

function bagOut(properties: ReadonlyMap<string, number | string>): BagTable {
  checkProperties(properties);
  const all = sorted(properties).map(([name, value]) => ({ name, value }));
  const numbers = all.filter((one): one is { name: string; value: number } => typeof one.value === 'number');
  return {
    ints: numbers.filter(({ value }) => Number.isSafeInteger(value)),
    floats: numbers.filter(({ value }) => !Number.isSafeInteger(value)),
    strings: all.filter((one): one is { name: string; value: string } => typeof one.value === 'string'),
  };
}

const sizeBytesOf = ({ trained, frozen, optimizer }: OrtCheckpoint): number => {
  const all = [...trained.values(), ...frozen.values(), ...(optimizer ? [...optimizer.moments.values()].flat() : [])];
  return all.reduce((sum, { data }) => sum + data.byteLength + 256, 1024);
};

/** The bytes of the file `checkpoint`: below 1 GiB, beyond which buffers of this kind do not go. */
export function encodeOrtCheckpoint(checkpoint: OrtCheckpoint): Uint8Array {
  const { trained, frozen, optimizer, properties } = checkpoint;
  const sizeBytes = sizeBytesOf(checkpoint);
  ensure(sizeBytes < limitBytes, 'unsupported', () => {
    return `encodeOrtCheckpoint: expected less than ${limitBytes} bytes, got about ${sizeBytes}; train fewer parameters, or export before the first update, when there are no moments yet`;
  });
  const table: CheckpointTable = {
    version,
    // Both vectors have to be there even when empty.
    module: { trained: tensorsOut(trained), frozen: tensorsOut(frozen), nominal: false, external: false },
    ...(optimizer === undefined ? {} : { groups: [groupOut(optimizer)] }),
    ...(properties === undefined ? {} : { properties: bagOut(properties) }),
  };
  return encodeFlat(checkpointTable, table, { identifier, sizeBytes });
}

const named = (name: string | undefined, what: string): string => {
  if (name === undefined) throw bad(`${what} without a name`);
  return name;
};

function tensorIn({ name, dims = [], dataType, rawData }: TensorTable): Tensor {
  const { byteSize, make } = dtypes[dtypeOfCode(dataType)];
  const sizeBytes = byteSize * sizeOf(dims);
  if (!dims.every((dim) => dim >= 0) || (rawData?.length ?? 0) !== sizeBytes) {
    throw bad(`${name} [${dims}] with ${rawData?.length ?? 'no'} bytes`);
  }
  // Copied: the bytes may lie unaligned in the file's buffer.
  const data = make(new Uint8Array(rawData ?? []).buffer as ArrayBuffer);
  return { dtype: dtypeOfCode(dataType), dims, data } as Tensor;
}

/** Entries by name; each name only once. */
function gather<T, V>(list: readonly T[], entryOf: (one: T) => readonly [string, V]): Map<string, V> {
  const map = new Map<string, V>();
  for (const [name, value] of list.map(entryOf)) {
    if (map.has(name)) throw bad(`${name} twice`);
    map.set(name, value);
  }
  return map;
}

const tensorsIn = (list: readonly TensorTable[]): Map<string, Tensor> =>
  gather(list, (one) => [named(one.name, 'a tensor'), tensorIn(one)]);

function optimizerIn(groups: readonly GroupTable[]): { optimizer?: OrtOptimizerState } {
  const [group, ...more] = groups;
  if (group === undefined) return {};
  if (more.length > 0) throw bad(`${groups.length} groups of the optimizer`);
  const { step, initialLr, states = [] } = group;
  const moments = gather(states, ({ paramName, momentums = [] }) => [
    named(paramName, 'a state of the optimizer'),
    [...tensorsIn(momentums)].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one),
  ]);
  return { optimizer: { step, initialLr, moments } };
}

function propertiesIn(bag: BagTable | undefined): { properties?: Map<string, number | string> } {
  if (bag === undefined) return {};
  const { ints = [], floats = [], strings = [] } = bag;
  const all: readonly Property<number | string | undefined>[] = [...ints, ...floats, ...strings];
  return { properties: gather(all, ({ name, value }) => [named(name, 'a property'), value ?? '']) };
}

/** Reads a `checkpoint`; tensors are copies. Throws `bad-checkpoint` on anything but a whole one of version 2, `unsupported` for element types that fettle does not have. */
export function decodeOrtCheckpoint(bytes: Uint8Array): OrtCheckpoint {
  const table = decodeFlat<CheckpointTable>(checkpointTable, bytes, { identifier, fail: bad });
  if (table.version !== version) throw bad(`version ${table.version}`);
  const { trained = [], frozen = [], nominal, external } = table.module ?? {};
  if (table.module === undefined || nominal || external) {
    throw bad(`${table.module === undefined ? 'no' : nominal ? 'a nominal' : 'an external'} state of the model`);
  }
  return {
    trained: tensorsIn(trained),
    frozen: tensorsIn(frozen),
    ...optimizerIn(table.groups ?? []),
    ...propertiesIn(table.properties),
  };
}
