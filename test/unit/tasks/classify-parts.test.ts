import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { backbones } from '../../../models/backbones.ts';
import { classifier, classifierGroups, classifierHead } from '../../../models/classifier.ts';
import { smallEncoder } from '../../../models/small-encoder.ts';
import { checkClasses, needClasses, readClassifyFolder } from '../../../tasks/classify/data.node.ts';
import { scoreOf } from '../../../tasks/classify/score.node.ts';
import { splitByPrefix } from '../../../training/learner/groups.ts';
import { createScope, initialWeights, type Scope } from '../../../training/nn/scope.ts';
import { Graph, type Value } from '../../../training/onnx/graph.ts';
import { failureOf } from '../../helpers/blocks.ts';
import { plainImage, wavyImage, withFolder, writePhoto } from '../../helpers/photos.ts';

/** Photos 1, 2, ... of each class, all different. */
async function writeClasses(folder: string, counts: Readonly<Record<string, number>>, prefix = ''): Promise<void> {
  for (const [label, count] of Object.entries(counts))
    for (let i = 0; i < count; i++)
      await writePhoto(folder, `${prefix}${label}/${label}-${i}.png`, plainImage(8 + i, 8, label.charCodeAt(0)));
}

describe('a folder of classes', () => {
  it('a fifth of each class is held out; one that comes later moves at most one to the other side', () =>
    withFolder(async (folder) => {
      await writeClasses(folder, { cat: 40, dog: 6 });
      const before = await readClassifyFolder(folder);
      expect(before.classes).to.deep.equal(['cat', 'dog']);
      const { counts } = checkClasses(before);
      expect(counts.map(({ train, valid }) => train + valid)).to.deep.equal([40, 6]);
      expect(counts.map(({ valid }) => valid)).to.deep.equal([8, 1]);
      await writePhoto(folder, 'cat/deeper/new.png', wavyImage(9, 9, 1));
      const after = await readClassifyFolder(folder);
      const names = ({ valid }: typeof after): string[] =>
        valid.map(({ name }) => name).filter((name) => !/new/.test(name));
      expect(names(before).filter((name) => !names(after).includes(name)).length).to.be.at.most(1);
      expect([...after.train, ...after.valid].find(({ name }) => /new/.test(name))!.label).to.equal('cat');
    }));

  it('copies of a photo lie on one side', () =>
    withFolder(async (folder) => {
      await writeClasses(folder, { cat: 12, dog: 12 });
      for (let i = 0; i < 12; i++) await cp(join(folder, `cat/cat-${i}.png`), join(folder, `cat/copy-${i}.png`));
      const data = await readClassifyFolder(folder);
      expect(data.train.length + data.valid.length).to.equal(36);
      expect(checkClasses(data)).to.deep.include({ shared: [], twoClasses: [] });
    }));

  it('the folders train and valid are kept; what is in both, or in two classes, is reported', () =>
    withFolder(async (folder) => {
      await writeClasses(folder, { cat: 5, dog: 5 }, 'train/');
      await writeClasses(folder, { cat: 1 }, 'valid/');
      await writePhoto(folder, 'valid/dog/new.png', wavyImage(9, 9, 1));
      await cp(join(folder, 'train/cat/cat-3.png'), join(folder, 'train/dog/mistake.png'));
      const data = await readClassifyFolder(folder);
      expect(data.valid.map(({ name }) => name)).to.deep.equal(['valid/cat/cat-0.png', 'valid/dog/new.png']);
      const notes: string[] = [];
      const health = needClasses(data, (text) => notes.push(text));
      expect(health.shared).to.deep.equal(['valid/cat/cat-0.png']);
      expect(health.twoClasses).to.deep.equal(['train/dog/mistake.png']);
      expect(notes.join('\n')).to.match(
        /cat 5 \+ 1 held out, dog 6 \+ 1 held out.*flatter: valid\/cat.*two classes: /s,
      );
    }));

  it('photos that cannot be read are skipped and named', () =>
    withFolder(async (folder) => {
      await writeClasses(folder, { cat: 6, dog: 6 });
      await writeFile(join(folder, 'dog', 'broken.jpg'), 'no picture');
      const data = await readClassifyFolder(folder);
      expect(data.problems.map(({ name }) => name)).to.deep.equal(['dog/broken.jpg']);
      const notes: string[] = [];
      needClasses(data, (text) => notes.push(text));
      expect(notes[0]).to.match(/skipped dog\/broken\.jpg: ./);
    }));

  it('one class, too few photos, and photos without a class are refused', () =>
    withFolder(async (folder) => {
      await writeClasses(folder, { cat: 6 });
      expect(await failureOf(readClassifyFolder(folder).then((data) => needClasses(data, undefined)))).to.match(
        /two classes or more, got cat/,
      );
      await writeClasses(folder, { dog: 2 });
      expect(await failureOf(readClassifyFolder(folder).then((data) => needClasses(data, undefined)))).to.match(
        /at least 4 photos of each class to train on, got 1 of dog/,
      );
      await writePhoto(folder, 'loose.png', plainImage(8, 8, 1));
      expect(await failureOf(readClassifyFolder(folder))).to.match(/named after its class, got loose\.png/);
    }));
});

describe('the head of a classifier', () => {
  /** The scope and the scores after `build` of an input [2,3,64,64]. */
  const built = (build: (scope: Scope, x: Value) => Value, size: readonly number[] = [2, 3, 64, 64]) => {
    const scope = createScope(new Graph('net'), { training: true });
    return { scope, y: build(scope, scope.graph.input('x', 'float32', size)) };
  };

  it("is fastai's create_head: its layers, places and sizes", () => {
    const { scope, y } = built((s, x) => classifierHead(s, x, { classes: 7 }), [2, 512, 5, 4]);
    expect(y.shape).to.deep.equal([2, 7]);
    const shapes = scope.specs.filter(({ kind }) => kind === 'param').map(({ name, shape }) => `${name} ${shape}`);
    expect(shapes).to.deep.equal([
      '2.weight 1024',
      '2.bias 1024',
      '4.weight 512,1024',
      '4.bias 512',
      '6.weight 512',
      '6.bias 512',
      '8.weight 7,512',
      '8.bias 7',
    ]);
    const std = (name: string): number => {
      const values = initialWeights(scope.specs, 1).get(name)!;
      return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    };
    expect(std('4.weight')).to.be.closeTo(Math.sqrt(2 / 1024), 1e-3);
  });

  it('options: no hidden layer, means alone, no biases', () => {
    const { scope } = built((s, x) => classifierHead(s, x, { classes: 3, hidden: [], concatPool: false, bias: false }));
    expect(scope.specs.map(({ name, shape }) => `${name} ${shape}`)).to.deep.equal([
      '2.weight 3',
      '2.bias 3',
      '2.running_mean 3',
      '2.running_var 3',
      '4.weight 3,3',
    ]);
  });

  it('stands on any encoder, whose two groups come before it', () => {
    for (const encoder of [smallEncoder(), backbones.resnet18.encoder, backbones.densenet121.encoder]) {
      const { scope, y } = built((s, x) => classifier(s, x, encoder, { classes: 4, hidden: [8] }));
      expect(y.shape).to.deep.equal([2, 4]);
      const group = splitByPrefix(...classifierGroups(encoder));
      const groups = scope.specs.map(({ name }) => group(name));
      expect(new Set(groups)).to.deep.equal(new Set([0, 1, 2]));
      expect(groups).to.deep.equal(groups.toSorted());
    }
  });
});

describe('scoreOf', () => {
  it('accuracy, and what the most frequent class alone would give', () => {
    const { accuracy, majority, report } = scoreOf({ classes: 2, counts: Float64Array.of(3, 1, 2, 4) });
    expect([accuracy, majority]).to.deep.equal([0.7, 0.6]);
    expect(report.map(({ recall }) => recall)).to.deep.equal([0.75, 4 / 6]);
  });
});
