/* fettle/web: sessions of a browser, for training and for running models; `fettle` has all the rest. test/arch/surface.test.ts pins the names. */

export {
  type ChosenDevice,
  chooseDevice,
  type OpenOptions,
  openSession,
  type RuntimeFiles,
  type WebDevice,
} from './run/ort.web.ts';
