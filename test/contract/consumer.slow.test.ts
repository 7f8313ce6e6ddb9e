import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { rootDir } from '../../scripts/repo/source-files.ts';

/** A line fitted without a learner; every name and dtype comes from the task's own inputs. */
const line = `
import { adamw, compileOptimizer, compileStep, createState, defineTask, f32, i32, initState, losses, nn } from 'fettle';
import { openSession } from 'fettle/node';

const task = defineTask({
  name: 'line',
  inputs: [
    { name: 'x', dtype: 'float32', shape: [64, 1] },
    { name: 'y', dtype: 'float32', shape: [64, 1] },
  ],
  forward: (scope, { x, y }) => ({ loss: losses.mseLoss(nn.linear(scope, x, 1), y) }),
});
const open = (model: Uint8Array) => openSession(model);
const step = await compileStep(task, open);
const state = createState(step.graphs.specs, { optimizer: adamw });
initState(state, 1);
const optimizer = await compileOptimizer(adamw, state, open);
const x = f32([64, 1], Array.from({ length: 64 }, (_, i) => i / 32 - 1));
const y = f32([64, 1], x.data.map((v) => 2 * v + 1));
const loss: number = await step.gradients(state, { x, y });
await optimizer.update(state, { lr: 0.05, wd: 0 });
// @ts-expect-error: y is missing
await step.gradients(state, { x });
// @ts-expect-error: y is float32
await step.gradients(state, { x, y: i32([64, 1], y.data) });
// @ts-expect-error: the task has no input z
defineTask({ ...task, forward: (scope, { z }) => ({ loss: z }) });
console.log(loss.toFixed(4));
`;

/** A learner of the library's loaders, one of tables, a client and a session. */
const learner = `
import { arrayLoaders, createLearner, type EpochRow, losses, metrics, nn, parseCsv, tabularLearner, tabularLoaders } from 'fettle';
import { createClient } from 'fettle/client';
import { chooseDevice, openSession } from 'fettle/node';
import { exportSegment, runSegment, segmentRunDefaults } from 'fettle/tasks';

const { device } = await chooseDevice('auto');
const open = (model: Uint8Array) => openSession(model, { device });
const data = arrayLoaders({ x: [[0], [1], [2]], y: [1, 3, 5], batchSize: 1 });
const fit = await createLearner({
  model: (scope, x) => nn.linear(scope, x, 1),
  loss: losses.mseLoss,
  metrics: [metrics.rmse()],
  data,
  open,
});
const rows: readonly EpochRow[] = await fit.fitOneCycle(5, 0.1);
const { rows: houses } = parseCsv('city,price\\nRiga,1\\nOslo,2\\n');
const table = tabularLoaders({ rows: houses, target: 'price', categories: ['city'] });
const prices = await tabularLearner({ data: table, open });
const answer: Float32Array = (await prices.predict(table.encode({ city: 'Riga' }))).data;
// @ts-expect-error: no such option
await createLearner({ model: fit.options.model, loss: losses.mseLoss, data, open, learningRate: 1 });
const { body } = await createClient({ baseUrl: 'http://localhost:8080' }).classify(new Blob([]), { top: 3 });
console.log(rows, answer, body.labels, exportSegment, runSegment, segmentRunDefaults);
`;

/** The service in an Express app of the user's. */
const server = `
import { createService } from 'fettle/server';

const { app, close } = await createService({ storeDir: 'models' });
const listening = app.listen(8080);
// @ts-expect-error: the types of Express are there
app.lissen(8080);
listening.close();
await close();
`;

/** The same session, in a page. */
const page = `
import { chooseDevice, openSession } from 'fettle/web';
const { device } = await chooseDevice('auto');
const session = await openSession('model.onnx', { device });
console.log(session.inputNames);
`;

const options = { strict: true, noUncheckedIndexedAccess: true, noEmit: true, target: 'es2023', module: 'nodenext' };

/** What tsc says of a project with these files that has fettle among its packages: '' where it compiles. */
function compile(files: Readonly<Record<string, string>>, lib: readonly string[], types: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'fettle-consumer-'));
  try {
    const modules = join(folder, 'node_modules');
    mkdirSync(join(modules, '@types'), { recursive: true });
    symlinkSync(rootDir, join(modules, 'fettle'));
    for (const name of types) symlinkSync(join(rootDir, 'node_modules/@types', name), join(modules, '@types', name));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const compilerOptions = { ...options, lib, types, skipLibCheck: true };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }));
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', type: 'module' }));
    const tsc = join(rootDir, 'node_modules/typescript/bin/tsc');
    execFileSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    return '';
  } catch (error) {
    return String((error as { stdout?: string }).stdout ?? error);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('a project of a user, in TypeScript', () => {
  it('compiles without casts, and refuses batches of other names or dtypes', () => {
    expect(compile({ 'line.ts': line, 'learner.ts': learner, 'server.ts': server }, ['es2023'], ['node'])).to.equal('');
  }).timeout(60_000);

  it('compiles for a page', () => {
    expect(compile({ 'page.ts': page }, ['es2023', 'dom', 'dom.iterable'], [])).to.equal('');
  }).timeout(60_000);
});
