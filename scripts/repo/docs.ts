import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { trained } from '../../tasks/trained.node.ts';
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

const belowOf = ({ commands }: Command): readonly Command[] => commands.filter((one) => one.name() !== 'help');

const optionsOf = ({ options }: Command): string[] =>
  options.filter(({ hidden }) => !hidden).map(({ long, short }) => `\`${long ?? short}\``);

/** A command with a command for each task: the options that all have, and after the task's name those that only it has. */
function taskRow(command: Command, name: string): string[] {
  const lists = belowOf(command).map((one) => [one.name(), optionsOf(one)] as const);
  const common = lists[0]![1].filter((option) => lists.every(([, list]) => list.includes(option)));
  const own = lists.map(([task, list]) => [`${task}:`, ...list.filter((option) => !common.includes(option))].join(' '));
  return [`\`${name} TASK\``, [common.join(' '), ...own].join('; ')];
}

/** A row for each command without commands below it, or with one for each task. */
function commandRows(command: Command, name: string): string[][] {
  const below = belowOf(command);
  if (below.length > 0 && below.every((one, i) => one.name() === trained[i]?.name)) return [taskRow(command, name)];
  if (below.length > 0) return below.flatMap((one) => commandRows(one, `${name} ${one.name()}`));
  const words = command.registeredArguments.map((one) => (one.required ? one.name() : `[${one.name()}]`).toUpperCase());
  return [[`\`${[name, ...words].join(' ')}\``, optionsOf(command).join(' ')]];
}

const commandTable = (): string => table(['command', 'options'], commandRows(createProgram(trained), 'fettle'));

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
