import { type ChildProcess, fork } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { pino } from 'pino';
import sharp from 'sharp';
import { benchOptions } from '../../../scripts/bench/options.ts';
import { median, warnIfBusy } from '../../../scripts/bench/race.ts';
import { dataFolder } from '../../../scripts/results/data.ts';
import { startServer } from '../../../server/main.ts';
import { decode, inspect } from '../../../server/serve/images.ts';
import { threadsOf } from '../../../server/serve/pictures.ts';
import { storeDirOf, zooDir } from '../../../server/store/paths.ts';
import { openStore } from '../../../server/store/store.ts';
import { openSession } from '../../../training/run/ort.node.ts';
import { specOf } from '../../config.ts';
import { segmentContract } from '../contract.ts';
import { segmentInput, segmentSize } from '../infer.ts';
import { segmentTask } from '../serve.node.ts';

/**
 * Pictures per second through `POST /v1/segment`, against worker threads of the same number that do parts of the same by themselves, with
 * the same model, file, decoder and threads of ONNX Runtime. The sides take turns of some seconds; the ratios are those of the medians.
 *   session   the net alone, on a tensor that is there already
 *   bare      what a program without fettle cannot do without: decode the file, make the tensor, run the net
 *   worker    the whole job without HTTP: also class ids at the picture's size, and the palette PNG
 *   http      the server in a process of its own, asked by twice as many clients as it has workers
 *   node dist/tasks/segment/results/throughput.js [--width 480] [--rounds 7] [--seconds 2] [--workers 2]
 */
const options = benchOptions({ width: 480, rounds: 7, seconds: 2, workers: 2 });
const { workers } = options;

const parts = ['session', 'bare', 'worker'] as const;
type PartName = (typeof parts)[number];

/** One side of the race: works for some seconds and states how many pictures it did. */
interface Side {
  readonly name: string;
  run(seconds: number): Promise<number>;
}

interface ThreadData {
  readonly photo: Uint8Array;
  readonly threads: number;
}

/** The worker thread: does one part again and again for the given time. */
async function serveParts({ photo, threads }: ThreadData): Promise<void> {
  const store = openStore({ zooDir, storeDir: storeDirOf() });
  const version = await store.resolve('segment');
  const spec = specOf(segmentContract, version.config);
  const session = await openSession(await store.read(version, 'model.onnx'), { threads, spin: false });
  const image = { bytes: photo, info: await inspect(photo) };
  const job = {
    key: '',
    ...image,
    files: { image },
    query: { output: 'mask', opacity: 0.5 },
  } as const;
  const hooks = { signal: new AbortController().signal, onProgress: () => undefined };
  const tensorOf = async () => {
    const image = await decode(photo);
    return { [spec.inputName]: segmentInput(image, segmentSize(image, spec.shortSide)) };
  };
  const ready = await tensorOf();
  const work: Readonly<Record<PartName, () => Promise<unknown>>> = {
    session: () => session.run(ready),
    bare: async () => session.run(await tensorOf()),
    worker: () => segmentTask.run(job, session, spec, hooks),
  };
  for (const part of parts) await work[part]();
  parentPort?.on('message', async ({ part, seconds }: { readonly part: PartName; readonly seconds: number }) => {
    const end = performance.now() + 1000 * seconds;
    let done = 0;
    while (performance.now() < end) {
      await work[part]();
      done += 1;
    }
    parentPort?.postMessage(done);
  });
  parentPort?.postMessage('ready');
}

const messageOf = (from: Worker | ChildProcess): Promise<unknown> =>
  new Promise((resolve) => from.once('message', resolve));

async function startThreads(data: ThreadData): Promise<readonly Worker[]> {
  const threads = Array.from({ length: workers }, () => new Worker(new URL(import.meta.url), { workerData: data }));
  await Promise.all(threads.map(messageOf));
  return threads;
}

const sideOf = (threads: readonly Worker[], part: PartName): Side => ({
  name: part,
  run: async (seconds) => {
    for (const thread of threads) thread.postMessage({ part, seconds });
    const done = await Promise.all(threads.map(messageOf));
    return done.reduce((sum: number, one) => sum + Number(one), 0);
  },
});

/** The process that serves. */
async function serve(): Promise<void> {
  const server = await startServer({ port: 0, workers, log: pino({ level: 'silent' }) });
  process.on('disconnect', () => process.exit(0));
  process.send?.(server.url);
}

function httpSide(url: string, photo: Uint8Array): Side {
  const agent = new Agent({ keepAlive: true });
  const head = '--cut\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n';
  const body = Buffer.concat([Buffer.from(head), photo, Buffer.from('\r\n--cut--\r\n')]);
  const headers = { 'content-type': 'multipart/form-data; boundary=cut', 'content-length': body.length };
  const ask = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const sent = request(`${url}/v1/segment`, { method: 'POST', agent, headers }, (response) => {
        response.resume();
        response.on('end', () =>
          response.statusCode === 200 ? resolve() : reject(new Error(`${response.statusCode}`)),
        );
      });
      sent.on('error', reject);
      sent.end(body);
    });
  const run = async (seconds: number): Promise<number> => {
    const end = performance.now() + 1000 * seconds;
    let done = 0;
    const client = async (): Promise<void> => {
      while (performance.now() < end) {
        await ask();
        done += 1;
      }
    };
    await Promise.all(Array.from({ length: 2 * workers }, client));
    return done;
  };
  return { name: 'http', run };
}

/** A street scene of CamVid as a JPEG of that width. */
async function readPhoto(width: number): Promise<Uint8Array> {
  const folder = join(dataFolder(), 'camvid', 'test');
  const [name] = (await readdir(folder)).sort();
  return sharp(await readFile(join(folder, name!)))
    .resize({ width })
    .jpeg({ quality: 90 })
    .toBuffer();
}

async function main(): Promise<void> {
  warnIfBusy(workers);
  const photo = await readPhoto(options.width);
  const threads = await startThreads({ photo, threads: threadsOf(workers) });
  const child = fork(fileURLToPath(import.meta.url), process.argv.slice(2), { stdio: 'inherit' });
  const sides = [...parts.map((part) => sideOf(threads, part)), httpSide(String(await messageOf(child)), photo)];
  const rates = new Map(sides.map(({ name }) => [name, [] as number[]]));
  for (let round = -1; round < options.rounds; round++) {
    for (const { name, run } of sides) {
      const start = performance.now();
      const done = await run(options.seconds);
      if (round >= 0) rates.get(name)!.push((1000 * done) / (performance.now() - start));
    }
  }
  child.disconnect();
  for (const thread of threads) await thread.terminate();
  const middle = Object.fromEntries([...rates].map(([name, all]) => [name, median(all)]));
  const share = (of: PartName): number => Math.round((1000 * middle.http!) / middle[of]!) / 1000;
  const picturesPerSecond = Object.fromEntries(
    Object.entries(middle).map(([name, rate]) => [name, Math.round(10 * rate) / 10]),
  );
  const httpShare = Object.fromEntries(parts.map((part) => [part, share(part)]));
  const { width, height } = await inspect(photo);
  const result = { bench: 'segment-throughput', photo: `${width}x${height}`, workers, picturesPerSecond, httpShare };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

if (!isMainThread) await serveParts(workerData as ThreadData);
else if (process.send !== undefined) await serve();
else await main();
