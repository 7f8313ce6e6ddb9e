import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { numbersText } from '../../training/text/human-numbers.ts';
import { fettle, fettleJson } from '../helpers/command.ts';
import { withFolder } from '../helpers/photos.ts';

/** Paragraphs "one , two , …" of 40 numbers each. */
const paragraphs = (from: number, to: number): string =>
  Array.from({ length: Math.floor((to - from) / 40) }, (_, i) =>
    numbersText(from + 40 * i, from + 40 * i + 39)
      .slice(1)
      .join(' '),
  ).join('\n\n');

const sizes = ['--width', '16', '--hidden', '24', '--bptt', '10', '--batch', '4', '--threads', '1', '--device', 'cpu'];

/** Posts of numbers, as a table whose dates fall. */
function table(count: number): string {
  const rows = Array.from({ length: count }, (_, i) => {
    const date = new Date(Date.UTC(2020, 0, 1) + 864e5 * (count - i)).toISOString();
    return `${date},"Now ${numbersText(i + 1, i + 8)
      .slice(1)
      .join(' ')}! &amp; so on https://t.co/a${i}"`;
  });
  return `date,text\n${rows.join('\n')}\n2021-01-01,RT @x: no\n`;
}

describe('fettle train, generate, retrain text', function () {
  this.timeout(180_000);

  it('trains, is stopped and continues in the same bits, writes, and is fine-tuned on posts', async () => {
    await withFolder(async (folder) => {
      const data = join(folder, 'numbers');
      await writeFile(`${data}.txt`, paragraphs(1, 900));
      const train = ['train', 'text', '--data', `${data}.txt`, '--epochs', '2', ...sizes];
      const whole = await fettleJson(folder, ...train, '--out', 'whole');
      expect(whole.rows).to.have.length(2);

      // Ctrl-C once the first epoch is over.
      let told = false;
      const stopped = await fettle(
        {
          cwd: folder,
          onStderr: (child, text) => {
            if (!told && text.includes('epoch 0:')) told = child.kill('SIGINT');
          },
        },
        ...train,
        '--out',
        'parts',
      );
      expect(stopped.code, stopped.stderr).to.equal(130);
      const refused = await fettle({ cwd: folder }, ...train, '--out', 'parts');
      expect(refused.stderr).to.match(/expected a new folder, got parts with a checkpoint; add --resume/);
      await fettleJson(folder, ...train, '--out', 'parts', '--resume');
      const model = (name: string): Promise<Buffer> => readFile(join(folder, name, 'model.onnx'));
      expect((await model('parts')).equals(await model('whole'))).to.equal(true);
      expect(await readdir(join(folder, 'whole'))).to.include.members(['log.csv', 'samples-001.txt', 'vocab.json']);

      const generate = ['generate', 'one hundred,', '--model', 'whole/model.onnx', '--device', 'cpu', '-n', '2'];
      const first = await fettleJson(folder, ...generate, '--max-tokens', '9');
      expect(await fettleJson(folder, ...generate, '--max-tokens', '9')).to.deep.equal(first);
      expect(first.candidates).to.have.length(2);
      const beams = await fettleJson(folder, ...generate, '--max-tokens', '9', '--beams', '3');
      expect(beams.candidates).to.have.length(2);

      await writeFile(join(folder, 'posts.csv'), table(120));
      const posts = ['--data', 'posts.csv', '--from', 'whole/model.onnx', '--store', 'models'];
      const retrain = ['retrain', 'text', ...posts, '--epochs', '3', '--lr', '0.02', ...sizes.slice(4)];
      const tuned = await fettleJson(folder, ...retrain, '--out', 'tuned');
      // The version after the one that comes with the repository.
      expect(tuned).to.include({ name: 'text', version: 2, active: true, model: join('tuned', 'model.onnx') });
      // The table's dates fall from the end of April on.
      const refusedDates = await fettle({ cwd: folder }, ...retrain, '--out', 'none', '--until', '2020-01-02');
      expect(refusedDates.stderr).to.match(/posts: expected at least 2, got 0/);
      expect(tuned.after).to.be.below((tuned.before as number) / 2);
      expect(existsSync(join(folder, 'models', 'text', '2', 'card.md'))).to.equal(true);

      // Steps far too long make it worse than what serves, which continues to serve.
      const again = [...posts.slice(0, 2), '--store', 'models', '--epochs', '1', '--lr', '1', ...sizes.slice(4)];
      const worse = await fettleJson(folder, 'retrain', 'text', ...again, '--out', 'worse');
      expect(worse).to.include({ name: 'text', version: 3, active: false });
      expect(worse.before).to.be.closeTo(tuned.after as number, 1e-3 * (tuned.after as number));
      expect(worse.after).to.be.above(worse.before as number);
      // A new one of random weights is measured with it too; under a name of its own it serves.
      const fresh = ['retrain', 'text', ...again, '--from', 'none', ...sizes, '--lr', '0.000001'];
      const untrained = await fettleJson(folder, ...fresh, '--out', 'fresh');
      expect(untrained).to.include({ name: 'text', version: 4, active: false });
      expect(untrained.before).to.equal(undefined);
      const own = await fettleJson(folder, ...fresh, '--out', 'own', '--name', 'own');
      expect(own).to.include({ name: 'own', version: 1, active: true });
      const written = await fettle({ cwd: folder }, 'generate', '--store', 'models', '--device', 'cpu', '--top-k', '3');
      expect(written.code, written.stderr).to.equal(0);
      expect(written.stdout)
        .to.match(/\w/)
        .and.not.match(/xx|t\.co/);
    });
  });

  it('says what is wrong with data and options', async () => {
    await withFolder(async (folder) => {
      const fails = async (...args: string[]): Promise<string> => {
        const { code, stderr } = await fettle({ cwd: folder }, ...args);
        expect(code).to.equal(1);
        return stderr;
      };
      expect(await fails('train', 'text', '--data', 'nowhere')).to.match(/expected a file or a folder, got nowhere/);
      expect(await fails('train', 'text', '--data', '.', '--samples', '3')).to.match(
        /--samples: expected the task restore/,
      );
      expect(await fails('train', 'text', '--data', '.')).to.match(/expected files \.txt or \.txt\.gz, got none/);
      await writeFile(join(folder, 'few.txt'), 'only a few words');
      expect(await fails('train', 'text', '--data', 'few.txt', ...sizes)).to.match(
        /expected at least \d+ words.*more posts.*--batch.*--bptt/,
      );
      expect(await fails('generate', 'a', '--model', 'few.onnx', '--device', 'cpu')).to.match(/few\.onnx/);
      for (const [flag, value] of Object.entries({
        stop: 'x',
        seed: '1',
        temperature: '1',
        'top-k': '0',
        'top-p': '1',
      }))
        expect(await fails('generate', 'a', '--beams', '2', `--${flag}`, value)).to.include(
          `--${flag}: expected none with --beams`,
        );
      expect(await fails('generate', 'a', '--beams', '2', '-n', '3')).to.include(
        '--n: expected at most the 2 of --beams',
      );
      expect(await fails('generate', 'a', '--model', 'text@999', '--device', 'cpu')).to.include('expected text@999');
    });
  });
});
