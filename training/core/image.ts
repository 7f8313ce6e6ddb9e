/** A picture in memory: `data` u8 0..255, row-major, channels interleaved (HWC), sRGB; length = width * height * channels. */
export interface Image {
  readonly width: number;
  readonly height: number;
  /** 1 grey, 3 RGB, 4 RGB + straight alpha. */
  readonly channels: 1 | 3 | 4;
  readonly data: Uint8Array;
}
