/*
 * fettle's graphs on CUDA (or, to try the bench itself, on the CPU) against references that were computed beforehand.
 *
 * Beforehand, where there need be no card (two seconds; OUT gets run.mjs and cases.json, 3 MB):
 *   npm run build:ts && node dist/scripts/bench/cuda/prepare.js OUT
 * Where the card is, Linux x64 with CUDA 13 and cuDNN 9 (a PyTorch for CUDA 13 has their libraries):
 *   mkdir ort && cd ort && npm init -y && npm i --ignore-scripts onnxruntime-node@1.29.0 com.github.asus4.onnxruntime.linux-x64-gpu@0.4.9
 *   cp node_modules/com.github.asus4.onnxruntime.linux-x64-gpu/Plugins/Linux/x64/libonnxruntime_providers_{cuda,shared}.so \
 *     node_modules/onnxruntime-node/bin/napi-v6/linux/x64/   (beside libonnxruntime.so.1)
 *   export LD_LIBRARY_PATH=$(ls -d SITE_PACKAGES/nvidia/{cu13,cudnn}/lib | paste -sd:) NVIDIA_TF32_OVERRIDE=0
 *   node OUT/run.mjs --provider cuda --ort ort/node_modules/onnxruntime-node --out cuda.json
 * TF32 has to be off before the process starts: its matrix products are precise to 1e-3 only.
 * run.mjs needs nothing but Node 20 and ONNX Runtime, takes seconds, and copies parameters to the host at every step.
 * Exit code 0: every bound held and no strict graph left the device.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Answers, checks, doJob } from '../../../test/contract/backends/jobs.ts';
import { type NetName, trainNet } from '../../../test/contract/backends/nets.ts';
import { messageOf } from '../../../training/core/errors.ts';
import { type Cases, type ContractCase, difference, unpack } from './cases.ts';
import { failureOf, median, type Placement, placementOf, type Row, tableOf } from './report.ts';
import { type LoadedOrt, loadOrt, type OpenOptions, open } from './session.ts';

type Provider = OpenOptions['provider'];

/** The bound of `test/contract/backends` for the losses. */
const lossBound = 2e-5;
const nowhere: Placement = { providers: {}, cpuOps: [] };

/** What `work` returns, and where the nodes of the sessions that it opens with the profile's prefix ran. */
async function profiled<T>(work: (profile: string) => Promise<T>): Promise<readonly [T, Placement]> {
  const folder = mkdtempSync(join(tmpdir(), 'fettle-profile-'));
  try {
    const result = await work(join(folder, 'p'));
    return [result, placementOf(readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8')))];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The largest difference of a case over all of its runs and outputs. */
async function worstOf(ort: LoadedOrt, options: OpenOptions, { model, runs, measure }: ContractCase): Promise<number> {
  const session = await open(ort, Buffer.from(model, 'base64'), options);
  let worst = 0;
  for (const { feeds, expected } of runs) {
    const results = await session.run(unpack(feeds));
    for (const [name, value] of Object.entries(unpack(expected)))
      worst = Math.max(worst, difference(results[name], value, measure));
  }
  await session.release();
  return worst;
}

/** A row of what `work` measures, or of its error. */
async function rowOf(
  facts: Pick<Row, 'part' | 'title' | 'bound' | 'strict'>,
  work: () => Promise<Pick<Row, 'difference' | 'stepMs'> & { readonly placement?: Placement }>,
): Promise<Row> {
  try {
    return { placement: nowhere, ...facts, ...(await work()) };
  } catch (error) {
    return { ...facts, difference: Number.POSITIVE_INFINITY, placement: nowhere, error: messageOf(error) };
  }
}

const contractRow = (ort: LoadedOrt, provider: Provider, one: ContractCase): Promise<Row> =>
  rowOf({ part: 'contract', title: one.title, bound: one.bound, strict: one.strict }, async () => {
    const [found, placement] = await profiled((profile) => worstOf(ort, { provider, profile }, one));
    return { difference: found, placement };
  });

/** What every session does, whatever is below it: pre-allocated outputs, refusals. */
const sessionRow = (ort: LoadedOrt, provider: Provider, title: string): Promise<Row> =>
  rowOf({ part: 'sessions', title, bound: 0, strict: false }, async () => {
    const answer = await doJob({ kind: 'check', title }, (model) => open(ort, model, { provider }));
    const { found, wanted } = answer as Answers['check'];
    return { difference: JSON.stringify(found) === JSON.stringify(wanted) ? 0 : 1 };
  });

/** The losses of a net, and the median milliseconds of a step: of each of its graphs, added up. */
async function timedLosses(ort: LoadedOrt, provider: Provider, net: NetName, steps: number) {
  const times: number[][] = [];
  const losses = await trainNet({ net, steps }, (model) => {
    const own: number[] = [];
    times.push(own);
    return open(ort, model, { provider, onRun: (ms) => own.push(ms) });
  });
  return { losses, stepMs: times.reduce((sum, own) => sum + (median(own) || 0), 0) };
}

const lossRow = (ort: LoadedOrt, provider: Provider, title: string, wanted: readonly number[]): Promise<Row> =>
  rowOf({ part: 'losses', title, bound: lossBound, strict: true }, async () => {
    const net = title as NetName;
    // The profiler takes time, so the run that is measured is another one.
    const [, placement] = await profiled((profile) =>
      trainNet({ net, steps: 1 }, (model) => open(ort, model, { provider, profile })),
    );
    const { losses, stepMs } = await timedLosses(ort, provider, net, wanted.length - 1);
    const off = Math.max(...wanted.map((loss, i) => Math.abs(losses[i]! / loss - 1)));
    return { difference: off, placement, stepMs };
  });

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      provider: { type: 'string', default: 'cuda' },
      ort: { type: 'string' },
      cases: { type: 'string', default: join(import.meta.dirname, 'cases.json') },
      only: { type: 'string', default: '' },
      out: { type: 'string' },
    },
  });
  const provider = values.provider as Provider;
  if (provider !== 'cpu' && provider !== 'cuda')
    throw new RangeError(`--provider: expected cpu or cuda, got ${provider}`);
  if (provider === 'cuda' && process.env.NVIDIA_TF32_OVERRIDE !== '0')
    throw new Error('expected NVIDIA_TF32_OVERRIDE=0 in the environment; TF32 breaks the bounds');
  const ort = loadOrt(values.ort);
  const cases = JSON.parse(readFileSync(values.cases, 'utf8')) as Cases;
  const chosen = (title: string): boolean => title.includes(values.only);
  const rows: Row[] = [];
  for (const title of Object.keys(checks)) if (chosen(title)) rows.push(await sessionRow(ort, provider, title));
  for (const [net, losses] of Object.entries(cases.losses))
    if (chosen(net)) rows.push(await lossRow(ort, provider, net, losses));
  for (const one of cases.contract) if (chosen(one.title)) rows.push(await contractRow(ort, provider, one));
  const head = `ONNX Runtime ${ort.version} on ${provider}, against ${cases.reference}; ${process.uptime().toFixed(0)} s`;
  process.stdout.write(`${[head, ...tableOf(rows, provider)].join('\n')}\n`);
  if (values.out !== undefined) writeFileSync(values.out, JSON.stringify({ head, provider, rows }, null, 1));
  process.exitCode = rows.length === 0 || rows.some((row) => failureOf(row, provider) !== undefined) ? 1 : 0;
}

await main();
