import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type ModelStore, type NewConfig, openStore } from '../../../server/store/store.ts';
import { FettleError } from '../../../training/core/errors.ts';

const config: NewConfig = {
  name: 'restore',
  task: 'restore',
  createdAt: '2026-01-02T03:04:05Z',
  description: 'for a test',
  metrics: { heldOutPsnrDb: 27.5 },
  image: {
    inputName: 'image',
    outputName: 'restored',
    multipleOf: 8,
    halo: 16,
    normalisation: { mean: [0, 0, 0], std: [1, 1, 1] },
  },
};

const files = (text: string): Record<string, Uint8Array | string> => ({
  'model.onnx': Buffer.from(text),
  'card.md': `# ${text}`,
  LICENSE: 'Apache-2.0',
});

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof FettleError ? error.code : String(error)),
  );
}

describe('server: model store', () => {
  let dir: string;
  let store: ModelStore;
  const at = (...parts: readonly string[]): string => join(dir, ...parts);

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'fettle-store-'));
    // What ships: the zoo's version 1, made by registering it in a store of its own.
    await openStore({ zooDir: at('none'), storeDir: at('zoo') }).register('restore', files('zoo'), config);
    store = openStore({ zooDir: at('zoo'), storeDir: at('store') });
  });
  afterEach(() => rm(dir, { recursive: true }));

  it('serves what ships until told otherwise, and numbers on from there', async () => {
    expect((await store.resolve('restore')).origin).to.equal('zoo');
    const second = await store.register('restore', files('two'), config);
    expect(second.config.version).to.equal(2);
    expect((await store.resolve('restore')).config.version).to.equal(1);
    const [entry] = await store.list();
    expect([entry?.active, entry?.versions.map((one) => one.config.version)]).to.deep.equal([1, [1, 2]]);
  });

  it('writes whole versions: config with sizes and hashes, the files, nothing temporary', async () => {
    const { dir: folder, config: written } = await store.register('restore', files('two'), config);
    expect((await readdir(folder)).sort()).to.deep.equal(['LICENSE', 'card.md', 'config.json', 'model.onnx']);
    expect(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))).to.deep.equal(written);
    expect(written.files['model.onnx']).to.deep.equal({
      sha256: '3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3',
      sizeBytes: 3,
    });
    expect(await readdir(at('store', 'restore'))).to.deep.equal(['2']);
    expect(Buffer.from(await store.read(await store.resolve('restore@2'), 'card.md')).toString()).to.equal('# two');
  });

  it('a name has one task: that of the task it is named like, else that of its first version', async () => {
    const classify = {
      inputName: 'image',
      outputName: 'probabilities',
      width: 32,
      height: 24,
      resize: 'squish',
      classes: ['cat', 'dog'],
      normalisation: { mean: [0, 0, 0], std: [1, 1, 1] },
    };
    const { image: _image, ...common } = config;
    const classifier = (name: string): NewConfig => ({ ...common, name, task: 'classify', classify });
    await store.register('pets', files('pets'), classifier('pets'));
    expect((await store.resolve('pets@1')).config.task).to.equal('classify');
    for (const [name, wrong] of [
      ['restore', classifier('restore')],
      ['pets', { ...config, name: 'pets' }],
    ] as const) {
      const error = await store.register(name, files(name), wrong).catch((reason: unknown) => reason);
      expect(String(error)).to.match(
        /register: expected a version of the task \w+ for the name \w+, got one of \w+; choose another/,
      );
      expect(error).to.include({ code: 'bad-argument' });
    }
    // Whoever writes such a folder by hand sees what is wrong with it.
    const { config: written } = await store.register('other', files('other'), { ...config, name: 'other' });
    await mkdir(at('store', 'pets', '2'));
    await writeFile(at('store', 'pets', '2', 'config.json'), JSON.stringify({ ...written, name: 'pets', version: 2 }));
    const pets = (await store.list()).find(({ name }) => name === 'pets');
    expect(pets?.versions.map((one) => one.config.version)).to.deep.equal([1]);
    expect(pets?.broken).to.deep.equal([
      { version: 2, reason: 'config.json states the task restore, expected classify; use another name for it' },
    ]);
    expect(await codeOf(store.use('pets', 2))).to.equal('bad-model');
  });

  it('gives numbers in parallel to many writers, each once', async () => {
    const names = Array.from({ length: 8 }, (_, i) => `writer ${i}`);
    const done = await Promise.all(names.map((name) => store.register('restore', files(name), config)));
    expect(done.map((one) => one.config.version).sort()).to.deep.equal([2, 3, 4, 5, 6, 7, 8, 9]);
    for (const one of done) {
      const fresh = await store.resolve(`restore@${one.config.version}`);
      expect(fresh.config.files).to.deep.equal(one.config.files);
      await store.read(fresh, 'model.onnx');
    }
  });

  it('uses, rolls back step by step, and says when there is nothing to go back to', async () => {
    for (const text of ['two', 'three']) await store.register('restore', files(text), config);
    await store.use('restore', 3);
    await store.use('restore', 2);
    await store.use('restore', 2);
    expect(await store.rollback('restore')).to.equal(3);
    expect((await store.resolve('restore')).config.version).to.equal(3);
    expect(await store.rollback('restore')).to.equal(1);
    expect(await codeOf(store.rollback('restore'))).to.equal('not-found');
    expect((await store.resolve('restore')).config.version).to.equal(1);
    expect(await codeOf(store.use('restore', 9))).to.equal('not-found');
  });

  it('removes only what does not serve and does not ship, and never gives its number out again', async () => {
    for (const text of ['two', 'three']) await store.register('restore', files(text), config);
    await store.use('restore', 2);
    expect(await codeOf(store.remove('restore', 2))).to.equal('bad-argument');
    expect(await codeOf(store.remove('restore', 1))).to.equal('bad-argument');
    await store.remove('restore', 3);
    expect(await codeOf(store.resolve('restore@3'))).to.equal('not-found');
    expect((await store.register('restore', files('four'), config)).config.version).to.equal(4);
    expect((await readdir(at('store', 'restore'))).sort()).to.deep.equal(['2', '4', 'active.json']);
    expect((await store.resolve('restore')).config.version).to.equal(2);
  });

  it('notices changed bytes, another size, a link and a missing file', async () => {
    const two = await store.register('restore', files('two'), config);
    const model = join(two.dir, 'model.onnx');
    await writeFile(model, 'owt');
    expect(await codeOf(store.read(two, 'model.onnx'))).to.equal('bad-model');
    await writeFile(model, 'twotwo');
    expect(await codeOf(store.read(two, 'model.onnx'))).to.equal('bad-model');
    await rm(model);
    expect(await codeOf(store.read(two, 'model.onnx'))).to.equal('bad-model');
    await writeFile(at('elsewhere'), 'two');
    await symlink(at('elsewhere'), model);
    expect(await codeOf(store.read(two, 'model.onnx'))).to.equal('bad-model');
    for (const name of ['config.json', '../2/card.md', 'constructor']) {
      expect(await codeOf(store.read(two, name))).to.equal('not-found');
    }
  });

  it('does not see half-written versions, and tells broken ones from whole ones', async () => {
    await mkdir(at('store', 'restore', '.tmp-1-x'), { recursive: true });
    await mkdir(at('store', 'restore', '5'), { recursive: true });
    await mkdir(at('store', 'restore', '6'), { recursive: true });
    await writeFile(at('store', 'restore', '6', 'config.json'), '{"name":');
    const [entry] = await store.list();
    expect(entry?.versions.map((one) => one.config.version)).to.deep.equal([1]);
    expect(entry?.broken.map((one) => one.version)).to.deep.equal([5, 6]);
    expect(await codeOf(store.resolve('restore@6'))).to.equal('bad-model');
    expect((await store.register('restore', files('x'), config)).config.version).to.equal(7);
  });

  it('leaves nothing behind when registering fails', async () => {
    expect(await codeOf(store.register('restore', { 'model.onnx': 'x' }, config))).to.equal('bad-argument');
    expect(await codeOf(store.register('restore', { ...files('x'), '../evil': 'x' }, config))).to.equal('bad-argument');
    const { image: _section, ...lacking } = config;
    expect(await codeOf(store.register('restore', files('x'), lacking))).to.equal('bad-argument');
    expect(await codeOf(store.register('other', files('x'), config))).to.equal('bad-argument');
    expect(await codeOf(store.register('../up', files('x'), { ...config, name: '../up' }))).to.equal('bad-argument');
    const unwritable = { ...files('x'), LICENSE: undefined as unknown as string };
    expect(await codeOf(store.register('restore', unwritable, config))).not.to.equal('no error');
    expect(await readdir(at('store', 'restore'))).to.deep.equal([]);
  });

  it('readers of active.json never see a half-written one', async () => {
    await store.register('restore', files('two'), config);
    let stop = false;
    const reader = (async () => {
      for (let reads = 0; !stop || reads < 10; reads++) {
        expect((await store.resolve('restore')).config.version).to.be.oneOf([1, 2]);
      }
    })();
    for (let i = 0; i < 40; i++) await store.use('restore', 1 + (i % 2));
    stop = true;
    await reader;
  });

  it('watches changes made by another store on the same folder', async () => {
    await store.register('restore', files('two'), config);
    let calls = 0;
    let wake = (): void => undefined;
    const next = (): Promise<void> => new Promise((resolve) => (wake = resolve));
    const first = next();
    const stop = store.watch(() => {
      calls++;
      wake();
    }, 10);
    await first;
    const second = next();
    await openStore({ zooDir: at('zoo'), storeDir: at('store') }).use('restore', 2);
    await second;
    stop();
    expect(calls).to.equal(2);
  });

  it('refuses references that are not valid', async () => {
    for (const reference of ['', 'Restore', 'restore@', 'restore@0', 'restore@1x', '../x', 'a/b@1']) {
      expect(await codeOf(store.resolve(reference)), reference).to.equal('bad-argument');
    }
  });
});
