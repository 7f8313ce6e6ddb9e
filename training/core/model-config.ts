/** What a served model's `config.json` says. One folder of the model store holds one version; see docs/reference/models.md. */
export interface ModelConfig {
  /** The model's name, which is its task's name for the models we ship. */
  readonly name: string;
  readonly task: 'restore' | 'segment' | 'classify' | 'text';
  readonly version: number;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  /** One line for people: what it was trained on. */
  readonly description: string;
  /** Present for models that map pictures to pictures. */
  readonly image?: ImageModelSpec;
  /** Present for models that give every pixel a class. */
  readonly segment?: SegmentModelSpec;
  /** Present for models that tell what a picture shows. */
  readonly classify?: ClassifyModelSpec;
  /** Every file of the version but config.json itself, by name. */
  readonly files: Readonly<Record<string, FileEntry>>;
  /** Numbers measured when the version was registered, by name (units in the name, e.g. `heldOutPsnrDb`). */
  readonly metrics: Readonly<Record<string, number>>;
}

/**
 * Picture-to-picture contract: input f32[1,3,H,W] sRGB 0..1, output f32[1,3,H,W] 0..1 of the same size.
 * Normalisation and clipping are inside the graph; `normalisation` repeats the constants for information.
 */
export interface ImageModelSpec {
  readonly inputName: string;
  readonly outputName: string;
  /** H and W must be multiples of this; callers pad by reflection at the right and bottom. */
  readonly multipleOf: number;
  /** Radius in pixels of the neighbourhood an output pixel sees, rounded up to `multipleOf`: the overlap of exact tiles. */
  readonly halo: number;
  readonly normalisation: { readonly mean: readonly number[]; readonly std: readonly number[] };
}

/** A class; its id is its place in the list. */
export interface SegmentClass {
  readonly name: string;
  /** RGB 0..255. */
  readonly color: readonly [number, number, number];
}

/** Picture-to-classes contract: input f32[1,3,H,W] sRGB 0..1, any size; output f32[1,K,H,W], the probability of each of the K classes. */
export interface SegmentModelSpec {
  readonly inputName: string;
  readonly outputName: string;
  /** Pictures are scaled so that their short side has so many pixels: the size of things that the net was trained on. */
  readonly shortSide: number;
  readonly classes: readonly SegmentClass[];
  /** Inside the graph; repeated for information. */
  readonly normalisation: { readonly mean: readonly number[]; readonly std: readonly number[] };
}

/** Picture-to-label contract: input f32[N,3,H,W] sRGB 0..1 of the given size; output f32[N,K], the probability of each of the K classes. */
export interface ClassifyModelSpec {
  readonly inputName: string;
  readonly outputName: string;
  readonly width: number;
  readonly height: number;
  /** How a picture comes to that size: cut from its middle after scaling, or stretched. */
  readonly resize: 'crop' | 'squish';
  /** Names of the classes, by id. */
  readonly classes: readonly string[];
  /** Inside the graph; repeated for information. */
  readonly normalisation: { readonly mean: readonly number[]; readonly std: readonly number[] };
}

export interface FileEntry {
  readonly sha256: string;
  readonly sizeBytes: number;
}
