import { ensure } from './errors.ts';

/** A table with a header: `rows[i][column]`. */
export interface CsvTable {
  readonly columns: readonly string[];
  readonly rows: readonly Readonly<Record<string, string>>[];
}

/** One field and where the next thing starts. */
interface Field {
  readonly value: string;
  readonly end: number;
}

/** A field in quotes that starts at `start`; two quotes inside stand for one. */
function quotedField(text: string, start: number, where: () => string): Field {
  let value = '';
  for (let at = start + 1; ; ) {
    const quote = text.indexOf('"', at);
    ensure(quote >= 0, 'bad-data', () => `${where()}: expected a closing quote, got the end of the text`);
    value += text.slice(at, quote);
    if (text[quote + 1] !== '"') return { value, end: quote + 1 };
    value += '"';
    at = quote + 2;
  }
}

function plainField(text: string, start: number, delimiter: string): Field {
  let end = start;
  while (end < text.length && text[end] !== delimiter && text[end] !== '\n' && text[end] !== '\r') end++;
  return { value: text.slice(start, end), end };
}

/** csvRecords: text -> records of fields by RFC 4180 (CRLF, LF or CR; a byte order mark is skipped; empty lines too). */
export function csvRecords(text: string, delimiter = ','): string[][] {
  const records: string[][] = [];
  let record: string[] = [];
  const where = (): string => `csv record ${records.length + 1}`;
  let at = text.startsWith('\ufeff') ? 1 : 0;
  while (at < text.length) {
    const { value, end } = text[at] === '"' ? quotedField(text, at, where) : plainField(text, at, delimiter);
    const next = text[end];
    ensure(next === undefined || next === delimiter || next === '\n' || next === '\r', 'bad-data', () => {
      return `${where()}: expected '${delimiter}' or a line end after a closing quote, got '${next}'; double quotes inside a field`;
    });
    record.push(value);
    at = end + (next === '\r' && text[end + 1] === '\n' ? 2 : 1);
    if (next === delimiter && at < text.length) continue;
    if (next === delimiter) record.push('');
    if (record.length > 1 || record[0] !== '') records.push(record);
    record = [];
  }
  return records;
}

/** parseCsv: text whose first record names the columns -> rows by column; throws `bad-data` naming a record that does not fit. */
export function parseCsv(text: string, delimiter = ','): CsvTable {
  const [columns, ...records] = csvRecords(text, delimiter);
  ensure(columns !== undefined, 'bad-data', () => 'csv: expected a line with the names of the columns, got nothing');
  ensure(new Set(columns).size === columns.length, 'bad-data', () => {
    return `csv: expected columns of different names, got ${columns.join(', ')}`;
  });
  const rows = records.map((record, i) => {
    ensure(record.length === columns.length, 'bad-data', () => {
      return `csv record ${i + 2}: expected ${columns.length} fields (${columns.join(', ')}), got ${record.length}; quote fields that hold '${delimiter}'`;
    });
    return Object.fromEntries(columns.map((column, c) => [column, record[c]!]));
  });
  return { columns, rows };
}
