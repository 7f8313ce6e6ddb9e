import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { createProgram } from '../cli/program.ts';
import { listFiles, rootDir } from './source-files.ts';

/*
 * Tables of the docs that are made from the code. A page marks one with `<!-- table: NAME -->` and `<!-- end -->`.
 *   node dist/scripts/repo/docs.js      writes them anew
 */

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [row(head), `|${'---|'.repeat(head.length)}`, ...rows.map(row)].join('\n');
}

/** Commands without commands below them, each with its full name. */
function leaves(command: Command, path: readonly string[] = []): [name: string, command: Command][] {
  const below = command.commands.filter((one) => one.name() !== 'help');
  if (below.length === 0) return [[path.join(' '), command]];
  return below.flatMap((one) => leaves(one, [...path, one.name()]));
}

function commandTable(): string {
  const rows = leaves(createProgram()).map(([name, command]) => {
    const words = command.registeredArguments.map((one) =>
      (one.required ? one.name() : `[${one.name()}]`).toUpperCase(),
    );
    const options = command.options.filter(({ hidden }) => !hidden).map(({ long, short }) => `\`${long ?? short}\``);
    return [`\`${['fettle', name, ...words].join(' ')}\``, options.join(' ')];
  });
  return table(['command', 'options'], rows);
}

const tables: Readonly<Record<string, () => string>> = { commands: commandTable };

const marked = /(<!-- table: ([\w-]+) -->\n)[\s\S]*?(\n?<!-- end -->)/g;

/** The page with its tables made anew. Throws for a table that does not exist. */
export function withTables(text: string): string {
  return text.replace(marked, (_, start: string, name: string, end: string) => {
    const make = tables[name];
    if (make === undefined) throw new Error(`docs: expected a table of ${Object.keys(tables).join(', ')}, got ${name}`);
    return `${start}${make()}\n${end.trimStart()}`;
  });
}

/** The pages that have such tables, by path. */
export const pagesWithTables = (): { readonly path: string; readonly text: string }[] =>
  listFiles(rootDir, 'docs', ['.md'])
    .map((path) => ({ path, text: readFileSync(join(rootDir, path), 'utf8') }))
    .filter(({ text }) => text.includes('<!-- table: '));

if (process.argv[1] === import.meta.filename) {
  for (const { path, text } of pagesWithTables()) {
    const made = withTables(text);
    if (made === text) continue;
    writeFileSync(join(rootDir, path), made);
    process.stdout.write(`${path}\n`);
  }
}
