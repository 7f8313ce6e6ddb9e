import { expect } from 'chai';
import { awdLstmDefaults } from '../../models/awd-lstm.ts';
import { exportLanguageModel, openTextModel } from '../../training/apps/text.ts';
import { createRng } from '../../training/core/rng.ts';
import { textModelParts } from '../../training/generate/text-model.ts';
import { type RowState, TextRows } from '../../training/generate/text-rows.ts';
import { openSession } from '../../training/run/ort.node.ts';
import { specialTokens } from '../../training/text/special.ts';
import { Vocab } from '../../training/text/vocab.ts';
import { randomTextWeights } from '../helpers/random-text-model.ts';

const config = { ...awdLstmDefaults, width: 64, hidden: 144, words: 1001 };
const words = [...specialTokens, ...Array.from({ length: 1001 - specialTokens.length }, (_, i) => `w${i}`)];
const file = exportLanguageModel(randomTextWeights(config, 3), config, new Vocab(words));

describe('rows of a batch', function () {
  this.timeout(60_000);

  it('what a file says of itself', () => {
    const parts = textModelParts(file);
    expect(parts.words).to.deep.equal(words);
    expect(parts.weighs).to.equal(true);
    expect(parts.states.map(({ name, size }) => `${name} ${size}`).slice(-2)).to.deep.equal([
      'state.2.hidden 64',
      'state.2.cell 64',
    ]);
  });

  for (const threads of [1, 2])
    it(`${threads} threads: on the CPU a text has the same bits alone, beside any number of others, word by word and in windows`, async () => {
      const model = await openTextModel(file, (graph) => openSession(graph, { threads }));
      const rng = createRng('texts');
      const texts = Array.from({ length: 17 }, () => Int32Array.from({ length: 8 }, () => rng.int(0, 1000)));
      const read = async (ids: readonly number[], window: number): Promise<(RowState | Float32Array)[][]> => {
        const rows = new TextRows(model);
        for (const _ of ids) rows.add();
        for (let t = 0; t < 8; t += window)
          await rows.read(Int32Array.from(ids.flatMap((id) => [...texts[id]!.subarray(t, t + window)])));
        return ids.map((_, row) => {
          const { scores, probabilities } = rows.result(row);
          return [rows.state(row), scores.slice(), probabilities!.slice()];
        });
      };
      const alone = await Promise.all(texts.map(async (_, id) => (await read([id], 1))[0]!));
      for (const count of [2, 3, 5, 8, 13, 16, 17])
        for (const window of [1, 4, 8]) {
          const ids = rng.shuffle([...texts.keys()]).slice(0, count);
          const found = await read(ids, window);
          for (const [row, id] of ids.entries()) expect(found[row], `${count} ${window}`).to.deep.equal(alone[id]);
        }
      await model.session.release();
    });
});
