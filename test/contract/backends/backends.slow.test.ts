import { expect } from 'chai';
import { messageOf } from '../../../training/core/errors.ts';
import { f32 } from '../../../training/core/tensor.ts';
import { toOnnx } from '../../../training/onnx/export.ts';
import { Graph } from '../../../training/onnx/graph.ts';
import { chooseDevice, openSession } from '../../../training/run/ort.node.ts';
import { expectedOf, graphOf } from '../../golden/compute.ts';
import { type GoldenCase, goldenCases, largestSeen, relativeError } from '../../golden/fixtures.ts';
import { layerForm } from '../../golden/layer-forms.ts';
import { opForm } from '../../golden/op-forms.ts';
import { type BackendName, backends, type Running } from './backends.ts';
import { type Subject, subjects } from './inference.ts';
import { checks } from './jobs.ts';
import { netNames, trainNet } from './nets.ts';

/*
 * One contract for every backend. What a backend cannot do, or need not, is a skip that states why.
 */

const parts = ['sessions', 'exported models', 'functions with gradients', 'training'] as const;
type Part = (typeof parts)[number];

/** Parts that a backend is not asked for, and why. */
const leftOut: Readonly<Partial<Record<BackendName, Readonly<Partial<Record<Part, string>>>>>> = {
  'webgl in a page': {
    sessions: 'its sessions open at the first run, for static shapes',
    'functions with gradients': 'it serves exported models and trains nothing',
    training: 'it serves exported models and trains nothing',
  },
  'webgpu in a page': {
    'functions with gradients': 'the provider is that of Node, where each of them runs',
  },
};

/** The functions with their gradients; optimisers have a test of their own. */
const functionCases = goldenCases.filter(({ steps }) => steps === undefined);
const formFor = (golden: GoldenCase) => layerForm(golden) ?? { golden, form: opForm(golden)! };

/** The steps of training whose losses are compared. */
const steps = 12;
const cpuLosses = new Map<string, Promise<number[]>>();

function onCpu(net: (typeof netNames)[number]): Promise<number[]> {
  const known = cpuLosses.get(net) ?? trainNet({ net, steps }, (model) => openSession(model, { threads: 1 }));
  cpuLosses.set(net, known);
  return known;
}

const largest = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

async function restoredOnCpu({ model, input, output, runs }: Subject): Promise<Float32Array[]> {
  const session = await openSession(model, { threads: 1 });
  const results: Float32Array[] = [];
  for (const run of runs) results.push((await session.run({ [input]: run }))[output]!.data as Float32Array);
  await session.release();
  return results;
}

type Ask = Running['ask'];

const suites: Readonly<Record<Part, (ask: Ask, name: BackendName) => void>> = {
  sessions: (ask) => {
    for (const title of Object.keys(checks)) {
      it(title, async () => {
        const { found, wanted } = await ask({ kind: 'check', title });
        expect(found).to.deep.equal(wanted);
      });
    }
  },

  'exported models': (ask, name) => {
    for (const [title, make] of Object.entries(subjects)) {
      it(`${title}: within 1/255 of the CPU per value`, async () => {
        const subject = make();
        const { input, output, runs } = subject;
        const model = name === 'webgl in a page' ? subject.webglModel : subject.model;
        const results = await ask({ kind: 'run', model, feeds: runs.map((run) => ({ [input]: run })) });
        const expected = await restoredOnCpu(subject);
        expect(results.length).to.equal(expected.length);
        for (const [i, result] of results.entries()) {
          const { data } = result[output]!;
          expect(data.length).to.equal(expected[i]!.length);
          expect(largest(data as Float32Array, expected[i]!), `run ${i}`).to.be.at.most(1 / 255);
          expect(largest(expected[i]!, runs[i]!.data), 'the model changes its input').to.be.above(0.1);
        }
      });
    }
  },

  'functions with gradients': (ask, name) => {
    const [seen, allowed] = [largestSeen(), 1e-4];
    after(() => console.log(`    ${name}, functions with gradients: ${seen.text()}, allowed ${allowed}`));
    for (const golden of functionCases) {
      it(`${golden.op}, ${golden.name}: as PyTorch`, async () => {
        const found = formFor(golden);
        const { graph, feeds } = graphOf(found.golden, found.form);
        const [got] = await ask({ kind: 'run', model: toOnnx(graph), feeds: [feeds], strict: true });
        for (const [output, value] of Object.entries(expectedOf(golden))) {
          const error = seen.note(relativeError(got![output]!, value), `${golden.op}, ${golden.name}, ${output}`);
          expect(error, output).to.be.below(allowed);
        }
      });
    }
  },

  training: (ask, name) => {
    if (name === 'webgpu') {
      it('refuses a graph that would leave the device, which the others here then do not', async () => {
        const graph = new Graph('leaves');
        const x = graph.input('x', 'float32', [2]);
        graph.output('y', graph.addNode('Sign', [x], [x])[0]!);
        const job = { kind: 'run', model: toOnnx(graph), feeds: [{ x: f32([2], [3, -4]) }] } as const;
        expect((await ask(job))[0]!.y!.data).to.deep.equal(Float32Array.of(1, -1));
        const refused = await ask({ ...job, strict: true }).then(
          () => 'nothing',
          (error: Error) => error.message,
        );
        expect(refused).to.match(/fallback to CPU EP has been explicitly disabled/);
      });
    }
    for (const net of netNames) {
      it(`${net}: the losses of ${steps} steps are the CPU's, to 2e-5`, async () => {
        const [found, wanted] = [await ask({ kind: 'train', net, steps }), await onCpu(net)];
        expect(found.length).to.equal(steps + 1);
        expect(wanted.at(-1)! / wanted[0]!, 'it learns').to.be.below(0.98);
        for (const [i, loss] of wanted.entries()) expect(Math.abs(found[i]! / loss - 1), `step ${i}`).to.be.below(2e-5);
      });
    }
  },
};

/** Backends of which it is known before they are started that they are not here: one skip states so for all of their tests. */
const absent: Readonly<Partial<Record<BackendName, string>>> = {
  cuda: await chooseDevice('cuda').then(() => '', messageOf),
};

for (const [name, start] of Object.entries(backends) as [BackendName, (typeof backends)[BackendName]][]) {
  if (absent[name]) {
    it.skip(`contract of a backend: ${name}: ${absent[name]}`);
    continue;
  }
  describe(`contract of a backend: ${name}`, function () {
    // A software device on a busy machine.
    this.timeout(300_000);
    let running: Running | undefined;
    before(async function () {
      const started = await start();
      if (typeof started !== 'string') {
        running = started;
        return;
      }
      console.log(`    skipped, no ${name}: ${started}`);
      this.skip();
    });
    after(() => running?.stop());

    const ask: Ask = (job) => running!.ask(job);
    for (const part of parts) {
      const reason = leftOut[name]?.[part];
      if (reason === undefined) describe(part, () => suites[part](ask, name));
      else it.skip(`${part}: ${reason}`);
    }
  });
}
