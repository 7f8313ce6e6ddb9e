/** A picture in memory: `data` u8 0..255, row-major, channels interleaved (HWC), sRGB; length = width * height * channels. */
export interface Image {
  readonly width: number;
  readonly height: number;
  /** 1 grey, 3 RGB, 4 RGB + straight alpha. */
  readonly channels: 1 | 3 | 4;
  readonly data: Uint8Array;
}

/** Mean and standard deviation of each channel, of values 0..1. */
export interface Statistics {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Statistics of ImageNet's training photos, as torchvision states them. */
export const imagenetStatistics: Statistics = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
