import { ensure } from '../core/errors.ts';
import type { Statistics } from '../core/image.ts';
import { need } from '../core/numbers.ts';
import { resolveOptions } from '../core/option-table.ts';
import { f32, i32, type Tensor } from '../core/tensor.ts';
import { classIdsOf, type RowLoaders, type RowOptions, rowLoader, rowTable, splitRows } from './rows.ts';

/** What a field of a row may be; null, undefined, '', NaN and the text NA are missing. */
export type Cell = string | number | boolean | null | undefined;
export type TableRow = Readonly<Record<string, Cell>>;

export interface TabularLoaderOptions extends RowOptions {
  /** `parseCsv(text).rows`, or objects. */
  readonly rows: readonly TableRow[];
  /** Column to predict; rows without it are an error. */
  readonly target: string;
  /** What the target is: `numbers` when every value is one, else `classes`, by default. */
  readonly kind?: 'classes' | 'numbers';
  /** Columns of names or codes. */
  readonly categories?: readonly string[];
  /** Columns of measures. */
  readonly numbers?: readonly string[];
}

/** A column of categories. */
export interface CategoryColumn {
  readonly name: string;
  /** Values by id; id 0 stands for what is missing or did not occur in the training rows. */
  readonly values: readonly string[];
}

/** A column of numbers, as the training rows have it. */
export interface NumberColumn {
  readonly name: string;
  readonly mean: number;
  readonly std: number;
  /** Stands for a missing number. */
  readonly median: number;
}

/** How rows become x: plain data, to be kept beside an exported model. */
export interface TableSpec {
  readonly categories: readonly CategoryColumn[];
  readonly numbers: readonly NumberColumn[];
}

export interface TabularLoaders extends RowLoaders {
  readonly kind: 'classes' | 'numbers';
  readonly table: TableSpec;
  /** By which the numbers in x are normalised; ids are as they are. */
  readonly statistics: Statistics;
  /** x[C] of one row, for `learner.predict`. */
  encode(row: TableRow): Tensor<'float32'>;
}

const where = 'tabularLoaders';
const textOf = (cell: Cell): string => (cell === null || cell === undefined ? '' : String(cell).trim());
const isMissing = (cell: Cell): boolean => ['', 'NA', 'NaN'].includes(textOf(cell));

/** The number in a cell, NaN where it is missing; throws `bad-data` for anything else. */
function numberIn(row: TableRow, column: string, index: number): number {
  const cell = row[column];
  if (isMissing(cell)) return Number.NaN;
  const number = Number(textOf(cell));
  ensure(Number.isFinite(number), 'bad-data', () => {
    return `${where}: expected numbers in column ${column}, got '${textOf(cell)}' in row ${index + 1}; name it in categories, or clean the data`;
  });
  return number;
}

function numberColumn(rows: readonly TableRow[], name: string): NumberColumn {
  const values = rows.map((row, i) => numberIn(row, name, i)).filter((value) => !Number.isNaN(value));
  ensure(
    values.length > 0,
    'bad-data',
    () => `${where}: expected numbers in column ${name}, got none in the training rows`,
  );
  const median = values.toSorted((a, b) => a - b)[values.length >> 1]!;
  const filled = rows.map((row, i) => numberIn(row, name, i)).map((value) => (Number.isNaN(value) ? median : value));
  const mean = filled.reduce((sum, value) => sum + value, 0) / filled.length;
  const variance = filled.reduce((sum, value) => sum + (value - mean) ** 2, 0) / filled.length;
  // A column of one value carries no information, whatever it is divided by.
  return { name, mean, std: Math.sqrt(variance) || 1, median };
}

/** The suffix of the column that states whether a number is missing. */
const missingSuffix = ' missing';

/** What the training rows say of the columns. Where numbers are missing, that they are is a category of its own. */
function tableOf(rows: readonly TableRow[], categories: readonly string[], numbers: readonly string[]): TableSpec {
  const named = categories.map((name) => {
    const texts = rows.filter((row) => !isMissing(row[name])).map((row) => textOf(row[name]));
    return { name, values: ['', ...classIdsOf(texts).vocab] };
  });
  const gaps = numbers
    .filter((name) => rows.some((row) => isMissing(row[name])))
    .map((name) => ({ name: `${name}${missingSuffix}`, values: ['', 'false', 'true'] }));
  return { categories: [...named, ...gaps], numbers: numbers.map((name) => numberColumn(rows, name)) };
}

const encoder = ({ categories, numbers }: TableSpec) => {
  const ids = categories.map(({ values }) => new Map(values.map((value, id) => [value, id])));
  const categoryIn = (row: TableRow, name: string): string =>
    name.endsWith(missingSuffix) && !(name in row)
      ? String(isMissing(row[name.slice(0, -missingSuffix.length)]))
      : textOf(row[name]);
  return (row: TableRow, index = 0): number[] => [
    ...categories.map(({ name }, c) => ids[c]!.get(categoryIn(row, name)) ?? 0),
    ...numbers.map(({ name, mean, std, median }) => {
      const number = numberIn(row, name, index);
      return ((Number.isNaN(number) ? median : number) - mean) / std;
    }),
  ];
};

function targetsOf({ rows, target, kind }: TabularLoaderOptions) {
  const missing = rows.findIndex((row) => isMissing(row[target]));
  ensure(missing < 0, 'bad-data', () => `${where}: expected ${target} in every row, got none in row ${missing + 1}`);
  const texts = rows.map((row) => textOf(row[target]));
  const areNumbers = kind === undefined ? texts.every((text) => Number.isFinite(Number(text))) : kind === 'numbers';
  if (areNumbers)
    return {
      kind: 'numbers',
      y: f32(
        [rows.length, 1],
        rows.map((row, i) => numberIn(row, target, i)),
      ),
    } as const;
  const { vocab, ids } = classIdsOf(texts);
  return { kind: 'classes', y: i32([rows.length], ids as number[]), vocab } as const;
}

/**
 * tabularLoaders: a learner's data from rows with columns of categories and numbers: x f32[N,C], ids of the categories and then the numbers,
 * normalised; y int32[N] or f32[N,1]. Vocabularies, medians, means and deviations come from the training rows alone. Throws
 * `bad-argument`, `bad-data`.
 */
export function tabularLoaders(options: TabularLoaderOptions): TabularLoaders {
  const resolved = resolveOptions<TabularLoaderOptions, keyof RowOptions | 'categories' | 'numbers'>(
    where,
    {
      ...rowTable,
      rows: { required: true },
      target: { required: true },
      kind: {},
      categories: { default: [] },
      numbers: { default: [] },
    },
    options,
  );
  const { rows, target, categories, numbers, batchSize, validShare, seed } = resolved;
  need(Array.isArray(rows) && rows.length > 1, where, 'rows as a list of two or more, e.g. parseCsv(text).rows', rows);
  for (const column of [target, ...categories, ...numbers])
    need(column in rows[0]!, where, `columns of the rows (${Object.keys(rows[0]!).join(', ')})`, column);
  need(categories.length + numbers.length > 0, where, 'columns in categories or numbers', []);
  const split = splitRows(rows.length, validShare, seed);
  const table = tableOf(
    split.train.map((row) => rows[row]!),
    categories,
    numbers,
  );
  const encodeRow = encoder(table);
  const { y, ...targets } = targetsOf(resolved);
  const width = table.categories.length + numbers.length;
  const x = f32(
    [rows.length, width],
    rows.flatMap((row, i) => encodeRow(row, i)),
  );
  return {
    ...targets,
    table,
    statistics: {
      mean: [...table.categories.map(() => 0), ...table.numbers.map(({ mean }) => mean)],
      std: [...table.categories.map(() => 1), ...table.numbers.map(({ std }) => std)],
    },
    encode: (row) => {
      for (const column of [...categories, ...numbers])
        need(column in row, `${where}: encode`, `a row with ${column}, perhaps null`, row);
      return f32([width], encodeRow(row));
    },
    train: rowLoader(x, y, split.train, batchSize, seed),
    valid: rowLoader(x, y, split.valid, batchSize),
  };
}
