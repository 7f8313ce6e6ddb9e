import { type ChildProcess, fork } from 'node:child_process';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import sharp from 'sharp';
import { startServer } from '../../server/main.ts';
import { createRng } from '../../training/core/rng.ts';
import { benchOptions } from './options.ts';

/**
 * How long the server's event loop is held up while clients restore without pause, as one JSON line. The server is a
 * process of its own with its delay measured inside; the clients are in this one.
 *   node dist/scripts/bench/event-loop.js [--store DIR] [--seconds 20] [--clients 4]
 */
const options = benchOptions({ store: '', seconds: 20, clients: 4 });

interface Report {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** The child: serves, and answers 'start' and 'stop' with a clean or a read histogram. */
async function serve(): Promise<void> {
  const store = options.store === '' ? {} : { storeDir: options.store };
  const server = await startServer({ port: 0, log: pino({ level: 'silent' }), ...store });
  // One millisecond is the timer's own interval, and so the least that can be measured.
  const delays = monitorEventLoopDelay({ resolution: 1 });
  process.on('message', (message) => {
    if (message === 'start') {
      delays.enable();
      delays.reset();
    } else process.send?.(reportOf(delays));
  });
  process.on('disconnect', () => process.exit(0));
  process.send?.(server.url);
}

const ms = (nanoseconds: number): number => Math.round(nanoseconds / 1e4) / 100;

const reportOf = (delays: IntervalHistogram): Report => ({
  p50: ms(delays.percentile(50)),
  p99: ms(delays.percentile(99)),
  max: ms(delays.max),
});

const answerOf = (child: ChildProcess): Promise<unknown> => new Promise((resolve) => child.once('message', resolve));

async function measure(seconds: number, clients: number): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), process.argv.slice(2), { stdio: 'inherit' });
  const url = String(await answerOf(child));
  const photo = await makePhoto(768, 512);
  await restore(url, photo); // what is loaded and compiled once is not measured
  child.send('start');
  const end = performance.now() + 1000 * seconds;
  const latencies: number[] = [];
  let model = '';
  const client = async (): Promise<void> => {
    while (performance.now() < end) {
      const start = performance.now();
      model = await restore(url, photo);
      latencies.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  const answer = answerOf(child);
  child.send('stop');
  const delayMs = (await answer) as Report;
  child.disconnect();
  latencies.sort((a, b) => a - b);
  const latencyMs = { p50: Math.round(latencies[latencies.length >> 1] ?? 0), max: Math.round(latencies.at(-1) ?? 0) };
  const result = { bench: 'event-loop', model, clients, seconds, requests: latencies.length, delayMs, latencyMs };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** A JPEG of soft noise, which takes as long as a photo does. */
async function makePhoto(width: number, height: number): Promise<Uint8Array> {
  const rng = createRng('event-loop');
  const small = Uint8Array.from({ length: (width * height * 3) / 64 }, () => rng.int(0, 255));
  const raw = { width: width / 8, height: height / 8, channels: 3 } as const;
  return sharp(small, { raw }).resize(width, height).jpeg({ quality: 90 }).toBuffer();
}

async function restore(url: string, photo: Uint8Array): Promise<string> {
  const form = new FormData();
  form.set('image', new Blob([photo as Uint8Array<ArrayBuffer>]), 'photo.jpg');
  const response = await fetch(`${url}/v1/restore`, { method: 'POST', body: form });
  await response.arrayBuffer();
  if (response.status !== 200) throw new Error(`expected 200, got ${response.status}`);
  return response.headers.get('x-model') ?? '';
}

if (process.send !== undefined) await serve();
else await measure(options.seconds, options.clients);
