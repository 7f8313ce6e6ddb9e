/* Writes run.mjs and cases.json into a folder: all that `run.ts` needs on a machine with a card. See there for the steps. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'vite';
import { type Subject, subjects } from '../../../test/contract/backends/inference.ts';
import { netNames, trainNet } from '../../../test/contract/backends/nets.ts';
import { expectedOf, graphOf } from '../../../test/golden/compute.ts';
import { type GoldenCase, goldenCases } from '../../../test/golden/fixtures.ts';
import { layerForm } from '../../../test/golden/layer-forms.ts';
import { opForm } from '../../../test/golden/op-forms.ts';
import { toOnnx } from '../../../training/onnx/export.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import type { Tensors } from '../../../training/run/session.ts';
import { type Cases, type ContractCase, pack } from './cases.ts';
import { loadOrt } from './session.ts';

const steps = 20;
const base64 = (model: Uint8Array): string => Buffer.from(model).toString('base64');
const openHere = (model: Uint8Array) => openSession(model, { threads: 1 });

/** An operator, layer or loss with its gradients, against PyTorch. */
function functionCase(golden: GoldenCase): ContractCase {
  const found = layerForm(golden) ?? { golden, form: opForm(golden)! };
  const { graph, feeds } = graphOf(found.golden, found.form);
  const runs = [{ feeds: pack(feeds), expected: pack(expectedOf(golden)) }];
  const title = `${golden.op}, ${golden.name}`;
  return { title, model: base64(toOnnx(graph)), runs, measure: 'relative', bound: 1e-4, strict: true };
}

/** An exported model, against the CPU. */
async function modelCase(title: string, { model, input, output, runs: inputs }: Subject): Promise<ContractCase> {
  const session = await openHere(model);
  const runs = [];
  for (const one of inputs) {
    const feeds: Tensors = { [input]: one };
    runs.push({ feeds: pack(feeds), expected: pack({ [output]: (await session.run(feeds))[output]! }) });
  }
  await session.release();
  return { title, model: base64(model), runs, measure: 'absolute', bound: 1 / 255, strict: false };
}

/** Every case of the contract that runs a graph, and the losses of every net. */
async function makeCases(): Promise<Cases> {
  const contract = goldenCases.filter((golden) => golden.steps === undefined).map(functionCase);
  for (const [title, make] of Object.entries(subjects)) contract.push(await modelCase(title, make()));
  const losses: Record<string, number[]> = {};
  for (const net of netNames) losses[net] = await trainNet({ net, steps }, openHere);
  return { reference: `ONNX Runtime ${loadOrt().version} on the CPU, and PyTorch`, contract, losses };
}

/** `run.ts` and all that it imports as one file, run.mjs, which needs Node only. */
const bundle = (outDir: string) =>
  build({
    configFile: false,
    logLevel: 'error',
    ssr: { noExternal: true },
    build: {
      ssr: join(import.meta.dirname, 'run.js'),
      outDir,
      emptyOutDir: false,
      target: 'node20',
      rollupOptions: { output: { entryFileNames: 'run.mjs' } },
    },
  });

const out = resolve(process.argv[2] ?? 'runs/cuda');
mkdirSync(out, { recursive: true });
const cases = await makeCases();
writeFileSync(join(out, 'cases.json'), JSON.stringify(cases));
await bundle(out);
process.stdout.write(
  `${out}: run.mjs, and cases.json with ${cases.contract.length} cases and ${netNames.length} nets\n`,
);
