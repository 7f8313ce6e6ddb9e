import { expect } from 'chai';
import { architectureNames } from '../../../scripts/cli/architecture-names.ts';
import { architectureOf, sidesOf } from '../../../scripts/cli/architectures.ts';
import { buildForward } from '../../../training/step/train-step.ts';
import { fettleHere } from '../../helpers/program.ts';

interface Summary {
  readonly params: number;
  readonly rows: readonly { readonly layer: string; readonly outputShape: string; readonly params: number }[];
}

async function summaryOf(...args: readonly string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await fettleHere('--json', 'summary', ...args);
  expect(code, stderr).to.equal(0);
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe('fettle summary', () => {
  it('resnet18 with its classes and size: every layer, its shape and parameters', async () => {
    const summary = await summaryOf('resnet18', '--classes', '37', '--size', '360x480');
    const { params, rows } = summary as unknown as Summary;
    // 1000 classes take 513 000 parameters, 37 take 18 981.
    expect(params).to.equal(11_689_512 - 513_000 + 18_981);
    expect(rows.find(({ layer }) => layer === 'layer2.0.downsample.0')).to.deep.include({
      outputShape: '[1,128,45,60]',
      params: 64 * 128,
    });
    expect(rows.at(-1)).to.deep.include({ layer: 'fc', outputShape: '[1,37]', params: 18_981 });
    expect(rows.reduce((sum, row) => sum + row.params, 0)).to.equal(params);
  });

  it('vgg16_bn as a table', async () => {
    const { code, stdout } = await fettleHere('summary', 'vgg16_bn');
    expect(code).to.equal(0);
    expect(stdout).to.match(/^features\.40 +Conv +\[1,512,14,14\] +2,359,808 +true$/m);
    expect(stdout).to.match(/^Total params: 138,365,992$/m);
  });

  it("unet: the lesson's table", async () => {
    const options = ['--encoder', 'resnet34', '--classes', '12', '--size', '360x480', '--bottle'];
    const { code, stdout } = await fettleHere('summary', 'unet', ...options);
    expect(code).to.equal(0);
    expect(stdout).to.match(/^encoder\.layer4\.2\.conv2 +Conv +\[1,512,12,15\] +2,359,296 +false$/m);
    expect(stdout).to.match(/^encoder\.layer4\.2\.bn2 +Add +\[1,512,12,15\] +1,024 +true$/m);
    expect(stdout).to.match(/^middle\.0\.conv +Conv +\[1,1024,12,15\] +4,719,616 +true$/m);
    expect(stdout).to.match(/^decoder\.3\.conv1\.conv +Conv +\[1,96,180,240\] +165,984 +true$/m);
    expect(stdout).to.match(/^head\.conv +Conv +\[1,12,360,480\] +1,200 +true$/m);
    expect(stdout).to.match(/^Total params: 41,133,018$/m);
    expect(stdout).to.match(/^Total trainable params: 19,865,370$/m);
    expect(stdout).to.match(/^Total non-trainable params: 21,267,648$/m);
  });

  it('knows every architecture that export knows, its smallest size too', () => {
    for (const name of architectureNames) {
      const architecture = architectureOf(name);
      const { usual, multiple = 1, least = multiple } = architecture.sizes;
      for (const sides of [usual, usual.map(() => least)]) {
        const specs = buildForward(architecture.task(2, sidesOf(architecture, sides)), true).scope.specs;
        expect(specs.length, `${name} ${sides}`).to.be.above(4);
      }
    }
  });

  it('takes one number for both sides, and nets of pictures and of words', async () => {
    const size = async (...args: string[]) => (await summaryOf(...args)).size;
    expect(await size('resnet18', '--size', '64')).to.deep.equal([64, 64]);
    expect(await size('restore-unet', '--size', '64x32')).to.deep.equal([64, 32]);
    expect(await size('human-numbers-4', '--size', '7')).to.deep.equal([7]);
    const { params } = await summaryOf('mnist-basic');
    expect(params).to.equal(12_126);
  });

  it('refuses what it does not know in one line', async () => {
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [['resnet19'], /expected an architecture \(restore-unet, unet, resnet18, .*got resnet19/],
      [['restore-unet', '--classes', '3'], /--classes: expected a classifier, got restore-unet/],
      [['resnet18', '--bottle'], /--bottle: expected the architecture unet, got resnet18/],
      [['unet', '--encoder', 'resnet19'], /--encoder: expected one of resnet18, .*got resnet19/],
      [['resnet18', '--self-attention'], /--self-attention: expected the architecture unet, got resnet18/],
      [['resnet18', '--no-last-cross'], /--no-last-cross: expected the architecture unet, got resnet18/],
      [['mnist-basic', '--classes', '3'], /--classes: expected a classifier, got mnist-basic/],
      [['restore-unet', '--size', '100x100'], /--size: expected multiples of 8, 8 or more, .*got 100x100/],
      [['resnet18', '--size', '0x64'], /--size: expected a number or HEIGHTxWIDTH, got 0x64/],
      [['vgg16_bn', '--size', '16'], /--size: expected pixels, 32 or more, for vgg16_bn, got 16/],
      [['mnist-basic', '--size', '32'], /--size: expected pixels, 28, for mnist-basic, got 32/],
      [['human-numbers-0', '--size', '4'], /--size: expected words, 1 to 3, for human-numbers-0, got 4/],
      [['human-numbers-3', '--size', '4x4'], /--size: expected words, 1 or more, .*got 4x4/],
      [['resnet18', '--classes', '0'], /--classes: expected a whole number 1\.\./],
    ];
    for (const [args, text] of cases) {
      const { code, stderr } = await fettleHere('summary', ...args);
      expect([code, stderr.trim().split('\n').length], stderr).to.deep.equal([1, 1]);
      expect(stderr).to.match(text);
    }
  });
});
