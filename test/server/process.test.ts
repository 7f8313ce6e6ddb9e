import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { type ClientRequest, request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import sharp from 'sharp';
import { type Bench, createBench, flat, post, send, until } from './harness.ts';

const cli = fileURLToPath(new URL('../../scripts/fettle.js', import.meta.url));

interface Child {
  readonly process: ChildProcess;
  readonly url: string;
  readonly exit: Promise<number | null>;
}

/** `fettle serve` on a free port, once it states where; its folder for temporary files is `tmp`. */
async function serve(storeDir: string, tmp: string): Promise<Child> {
  const args = [cli, '--json', 'serve', '--port', '0', '--store', storeDir, '--device', 'cpu', '--workers', '1'];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, TMPDIR: tmp },
  });
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const line = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (data) => {
      text += data;
      if (text.includes('\n')) resolve(text);
    });
    void exit.then((code) => reject(new Error(`exited with ${code}`)));
  });
  return { process: child, url: (JSON.parse(line) as { url: string }).url, exit };
}

/** An upload whose headers the server has taken and whose body is still to be sent. */
async function startUpload(url: string): Promise<ClientRequest> {
  const headers = { 'content-type': 'multipart/form-data; boundary=cut', expect: '100-continue' };
  const upload = request(`${url}/v1/restore`, { method: 'POST', headers });
  upload.flushHeaders();
  await new Promise((resolve, reject) => upload.once('continue', resolve).once('error', reject));
  return upload;
}

function finishUpload(
  upload: ClientRequest,
  bytes: Uint8Array,
): Promise<{ status: number | undefined; sizeBytes: number }> {
  return new Promise((resolve, reject) => {
    upload.once('error', reject);
    upload.once('response', (response) => {
      let sizeBytes = 0;
      response.on('data', (data: Buffer) => {
        sizeBytes += data.length;
      });
      response.on('end', () => resolve({ status: response.statusCode, sizeBytes }));
    });
    upload.write('--cut\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n');
    upload.write(bytes);
    upload.end('\r\n--cut--\r\n');
  });
}

describe('server: the process', function () {
  this.timeout(60_000);
  let bench: Bench;
  let child: Child | undefined;
  beforeEach(async () => {
    bench = await createBench();
    await bench.publish();
    child = await serve(join(bench.dir, 'store'), bench.dir);
  });
  afterEach(async () => {
    child?.process.kill('SIGKILL');
    await child?.exit;
    await bench.end();
  });

  it('SIGTERM: not ready any more, finishes what is in flight, exits 0 and leaves no file', async () => {
    const server = child;
    if (server === undefined) return expect.fail('no server');
    const picture = await flat(1500, 1000);
    expect((await post(server.url, picture)).status).to.equal(200);
    const uploads = await Promise.all([startUpload(server.url), startUpload(server.url), startUpload(server.url)]);
    server.process.kill('SIGTERM');
    await until(async () => (await fetch(`${server.url}/health/ready`)).status === 503);
    for (const answer of await Promise.all(uploads.map((upload) => finishUpload(upload, picture)))) {
      expect(answer.status).to.equal(200);
      expect(answer.sizeBytes).to.be.above(1000);
    }
    expect(await server.exit).to.equal(0);
    expect((await readdir(bench.dir)).sort()).to.deep.equal(['store']);
  });

  /** What memory a request takes at its peak beyond what the server had before, in MB. */
  async function memoryOf(request: (url: string) => Promise<Response>): Promise<number> {
    if (child === undefined) return expect.fail('no server');
    const { pid } = child.process;
    const peakMb = async (): Promise<number> => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024;
    };
    const before = await peakMb();
    const response = await request(child.url);
    const { width, height } = await sharp(Buffer.from(await response.arrayBuffer())).metadata();
    expect([response.status, width * height]).to.deep.equal([200, 24e6]);
    return (await peakMb()) - before;
  }

  const jpeg = (width: number, height: number): Promise<Buffer> =>
    sharp({ create: { width, height, channels: 3, background: '#987' } })
      .jpeg()
      .toBuffer();

  const onLinux = process.platform === 'linux' ? it : it.skip; // the peak is read from /proc

  onLinux('restores 24 megapixels within 450 MB of memory more than when idle', async () => {
    const picture = await jpeg(6000, 4000);
    expect(await memoryOf((url) => post(url, picture))).to.be.below(450);
  });

  // The strip has 5 million pixels and more for the net, which would take 2 GB in one run, and take 19 s of CPU time in a worker that yields.
  for (const [shape, width, height, limitMb] of [
    ['photo', 6000, 4000, 450],
    ['strip', 60_000, 400, 600],
  ] as const) {
    onLinux(`segments a ${shape} of 24 megapixels with the shipped model within ${limitMb} MB`, async () => {
      const picture = await jpeg(width, height);
      expect(await memoryOf((url) => send('segment', url, picture))).to.be.below(limitMb);
    }).timeout(240_000);
  }

  it('exits with one line that names --port where the port is taken', async () => {
    const port = new URL(child?.url ?? '').port;
    const args = [cli, 'serve', '--port', port, '--store', join(bench.dir, 'store'), '--device', 'cpu'];
    const second = spawn(process.execPath, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let text = '';
    second.stderr.on('data', (data) => {
      text += data;
    });
    const code = await new Promise((resolve) => second.once('close', resolve));
    const lines = text.split('\n').filter((line) => line.includes('EADDRINUSE'));
    expect([code, lines.length]).to.deep.equal([1, 1]);
    expect(lines[0]).to.match(new RegExp(`port ${port} of 127\\.0\\.0\\.1, got .*; choose others with --port`));
    expect(text).not.to.include('    at ');
  });

  it('SIGTERM when idle exits 0', async () => {
    child?.process.kill('SIGTERM');
    expect(await child?.exit).to.equal(0);
  });
});
