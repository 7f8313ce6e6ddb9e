/*
 * The service worker: keeps the pages, the runtime and the served models on this device, so that the pages open and
 * work without the server. Names of caches state what they hold (below a path, `fettle/PATH/` stands for `fettle-`):
 *   fettle-page-BUILD    the pages of one build; filled at installation, the old build's is dropped at activation
 *   fettle-runtime       WebAssembly files; their names carry their hash
 *   fettle-model-ID      one version of a model, replaced as a whole
 *   fettle-models        the list that named those versions, replaced when all of them are here
 * What is kept is a copy of the whole response, so the headers of cross-origin isolation stay with it.
 */

/** Filled in at build time: this build's hash, and the files of the page. */
declare const __BUILD__: string;
declare const __SHELL__: readonly string[];

/** The part of the worker's global scope that is used here: the library for pages does not describe it. */
interface WorkerScope {
  readonly location: Location;
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: 'install' | 'activate', listener: (event: Extendable) => void): void;
  addEventListener(type: 'fetch', listener: (event: Fetching) => void): void;
  addEventListener(type: 'message', listener: (event: Extendable & MessageEvent<Keep>) => void): void;
}
interface Extendable extends Event {
  waitUntil(done: Promise<unknown>): void;
}
interface Fetching extends Extendable {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

/** The page's order to keep what it needs to work offline. It is answered `{ ok }` through the message's port. */
interface Keep {
  readonly runtime: readonly string[];
  readonly models: readonly { readonly id: string; readonly files: readonly string[] }[];
}

const scope = self as unknown as WorkerScope;
/** The folder of the pages: `/`, or below which path another app has mounted them; several may share an origin and its caches. */
const base = new URL('.', scope.location.href).pathname;
const prefix = base === '/' ? 'fettle-' : `fettle${base}`;
const pagePrefix = `${prefix}page-`;
const pageCache = pagePrefix + __BUILD__;
const runtimeCache = `${prefix}runtime`;
const modelPrefix = `${prefix}model-`;
const listCache = `${prefix}models`;
const modelList = `${base}v1/models`;
const shell = __SHELL__.map((address) => base + address.slice(2));
const pages = shell.filter((path) => !/[/.]/.test(path.slice(base.length)));
const patienceMs = 3000;

const dropCaches = async (drop: (name: string) => boolean): Promise<void> => {
  for (const name of await caches.keys()) if (drop(name)) await caches.delete(name);
};

scope.addEventListener('install', (event) => {
  const fill = async (): Promise<void> => {
    const cache = await caches.open(pageCache);
    await cache.addAll(
      shell.map((path) => new Request(path, { cache: pages.includes(path) ? 'no-cache' : 'default' })),
    );
    // Pages come from the network while there is one, so whoever found this new worker is its build's page already.
    await scope.skipWaiting();
  };
  event.waitUntil(fill());
});

scope.addEventListener('activate', (event) => {
  const takeOver = async (): Promise<void> => {
    await dropCaches((name) => name.startsWith(pagePrefix) && name !== pageCache);
    await scope.clients.claim();
  };
  event.waitUntil(takeOver());
});

scope.addEventListener('message', (event) => {
  const answer = keep(event.data).then(
    () => ({ ok: true }),
    (error: unknown) => ({ ok: false, reason: String(error) }),
  );
  event.waitUntil(answer.then((said) => event.ports[0]?.postMessage(said)));
});

async function keep({ runtime, models }: Keep): Promise<void> {
  const files = await caches.open(runtimeCache);
  for (const url of runtime) if ((await files.match(url)) === undefined) await files.add(url);
  for (const { url } of await files.keys()) if (!runtime.includes(url)) await files.delete(url);
  const missing = await without(models, ({ id }) => caches.has(modelPrefix + id));
  for (const { id, files: paths } of missing) await keepModel(modelPrefix + id, paths);
  // The list comes after what it names, and what the old one named goes last: whenever this ends, list and files agree.
  const list = await caches.open(listCache);
  if (missing.length > 0 || (await list.match(modelList)) === undefined) await list.add(modelList);
  const names = models.map(({ id }) => modelPrefix + id);
  await dropCaches((name) => name.startsWith(modelPrefix) && !names.includes(name));
}

/** Those of which `test` does not hold. */
async function without<T>(all: readonly T[], test: (one: T) => Promise<boolean>): Promise<readonly T[]> {
  const tested = await Promise.all(all.map(test));
  return all.filter((_, i) => !tested[i]);
}

async function keepModel(name: string, files: readonly string[]): Promise<void> {
  try {
    await (await caches.open(name)).addAll([...files]);
  } catch (error) {
    await caches.delete(name); // all of it or nothing
    throw error;
  }
}

scope.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== scope.location.origin) return;
  const page = request.mode === 'navigate' && pages.includes(url.pathname);
  if (page) event.respondWith(networkFirst(request, url.pathname));
  else if (url.pathname === modelList) event.respondWith(networkFirst(request, modelList));
  else if (isImmutable(url.pathname)) event.respondWith(cacheFirst(request));
});

const isImmutable = (path: string): boolean =>
  path.startsWith(base) && /^(assets|v1\/models\/.+\/files)\//.test(path.slice(base.length));

async function cacheFirst(request: Request): Promise<Response> {
  return (await caches.match(request.url)) ?? fetch(request);
}

/** The server's answer, unless it takes too long, fails, or states that the server is not well: then what was kept. */
async function networkFirst({ url }: Request, key: string): Promise<Response> {
  let answer: Response | undefined;
  try {
    answer = await fetchPatiently(url);
    if (answer.status < 500) return answer;
  } catch {
    // Reported by what follows: the kept copy, or the browser's own error page.
  }
  return (await caches.match(key)) ?? answer ?? Response.error();
}

/** Waits for the beginning of an answer only so long; once it has begun, a slow connection may take its time. */
async function fetchPatiently(url: string): Promise<Response> {
  const tooLong = new AbortController();
  const timer = setTimeout(() => tooLong.abort(), patienceMs);
  try {
    return await fetch(url, { signal: tooLong.signal });
  } finally {
    clearTimeout(timer);
  }
}
