/* fettle/web: sessions of a browser, for training and for running models; `fettle` has all the rest. */

export {
  type ChosenDevice,
  chooseDevice,
  type OpenOptions,
  openSession,
  type RuntimeFiles,
  type UsableWebDevices,
  usableWebDevices,
  type WebDevice,
  webDevices,
  webThreads,
} from './run/ort.web.ts';
