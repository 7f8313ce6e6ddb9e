import { execFileSync } from 'node:child_process';
import { readSources, rootDir, type SourceFile, sourceFolders } from './source-files.ts';
import { functionsOf } from './source-scan.ts';

/** Sizes that a reader can still hold in mind; the report fails above them. */
export const limits = { fileLines: 400, functionLines: 80, functionLinesP90: 40, packageMb: 24 } as const;

interface Measured {
  readonly where: string;
  readonly lines: number;
}

const countLines = (text: string): number => text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
const longestFirst = (rows: readonly Measured[]): Measured[] => [...rows].sort((a, b) => b.lines - a.lines);

/** Every measured function of `files`, longest first; `where` is path:line name. */
export function measureFunctions(files: readonly SourceFile[]): Measured[] {
  return longestFirst(
    files.flatMap(({ path, text }) =>
      functionsOf(text).map(({ name, line, lines }) => ({ where: `${path}:${line} ${name}`, lines })),
    ),
  );
}

/** Every file, longest first. */
export const measureFiles = (files: readonly SourceFile[]): Measured[] =>
  longestFirst(files.map(({ path, text }) => ({ where: path, lines: countLines(text) })));

/** The value below which a share `q` (0..1) of longest-first `rows` lies; 0 for none. */
export const quantile = (rows: readonly Measured[], q: number): number =>
  rows[Math.floor((1 - q) * rows.length)]?.lines ?? 0;

function packageSizes(): { packedMb: number; unpackedMb: number; files: number } {
  const out = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: rootDir,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 1 << 26,
  });
  const parsed = JSON.parse(out) as unknown;
  const [report] = Object.values(parsed as Record<string, { size: number; unpackedSize: number; entryCount: number }>);
  if (!report) throw new Error(`size: expected one package from npm pack, got ${out.slice(0, 200)}`);
  return { packedMb: report.size / 1e6, unpackedMb: report.unpackedSize / 1e6, files: report.entryCount };
}

/** Lines that break a limit, in words; empty when all is well. */
export function violations(files: readonly SourceFile[]): string[] {
  const functions = measureFunctions(files);
  const p90 = quantile(functions, 0.9);
  return [
    ...measureFiles(files)
      .filter(({ lines }) => lines > limits.fileLines)
      .map(({ where, lines }) => `${where}: ${lines} lines, at most ${limits.fileLines}`),
    ...functions
      .filter(({ lines }) => lines > limits.functionLines)
      .map(({ where, lines }) => `${where}: ${lines} lines, at most ${limits.functionLines}`),
    ...(p90 > limits.functionLinesP90
      ? [`90 % of functions have up to ${p90} lines, at most ${limits.functionLinesP90}`]
      : []),
  ];
}

function folderTable(files: readonly SourceFile[]): string[] {
  const rows = sourceFolders.map((folder) => {
    const own = measureFiles(files.filter(({ path }) => path.startsWith(`${folder}/`)));
    const lines = own.reduce((sum, row) => sum + row.lines, 0);
    return `  ${folder.padEnd(10)}${String(own.length).padStart(6)} files${String(lines).padStart(8)} lines`;
  });
  return ['Folders', ...rows];
}

const topTable = (title: string, rows: readonly Measured[], count: number): string[] => [
  title,
  ...rows.slice(0, count).map(({ where, lines }) => `  ${String(lines).padStart(5)}  ${where}`),
];

function main(): void {
  const files = readSources();
  const functions = measureFunctions(files);
  const { packedMb, unpackedMb, files: packed } = packageSizes();
  const percentiles = [0.5, 0.9].map((q) => `p${q * 100} ${quantile(functions, q)}`).join(', ');
  const tooBig = packedMb > limits.packageMb ? [`package: ${packedMb.toFixed(1)} MB, at most ${limits.packageMb}`] : [];
  const broken = [...violations(files), ...tooBig];
  const report = [
    ...folderTable(files),
    ...topTable('Longest files', measureFiles(files), 5),
    ...topTable(`Longest functions (${functions.length} measured, ${percentiles} lines)`, functions, 5),
    `Package: ${packed} files, ${packedMb.toFixed(2)} MB packed, ${unpackedMb.toFixed(2)} MB unpacked`,
    ...broken.map((line) => `TOO LONG  ${line}`),
  ];
  process.stdout.write(`${report.join('\n')}\n`);
  if (broken.length > 0) process.exitCode = 1;
}

if (process.argv[1] === import.meta.filename) main();
