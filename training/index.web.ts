/* fettle/web: sessions of a browser, for training and for running models; `fettle` has all the rest. */

export {
  chooseWebDevice,
  openWebSession,
  type RuntimeFiles,
  type UsableWebDevices,
  usableWebDevices,
  type WebDevice,
  type WebSessionOptions,
  webDevices,
  webThreads,
} from './run/ort.web.ts';
