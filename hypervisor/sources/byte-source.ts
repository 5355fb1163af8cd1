/** Where an image's bytes come from, whatever kind of source it is. */
export interface ByteSource {
  /** The places asked in turn, as messages name them. Never empty. */
  readonly places: readonly string[];
  /** How many attempts without progress make a round that failed. */
  readonly attempts: number;
  /** The failure code of a failed round; `failureTable` has the one for the end of all rounds. */
  readonly failure: 'GlanceUnavailable' | 'SourceUnreachable';
  readonly finalFailure: 'GlanceConnectionFailed' | 'SourceUnavailable';
  /**
   * Opens the image at a byte, or at its first one where that place cannot do better.
   *
   * Throws SourceUnreachable when this attempt failed, and the final failures of the source.
   */
  open(place: string, position: BytePosition, signal: AbortSignal): Promise<OpenedImage>;
  /** A place whose partial answer was wrong is only asked for the whole image from now on. */
  distrust(place: string): void;
}

export interface BytePosition {
  readonly fromByte: number;
  /** The image's size, null where nobody knows it yet. */
  readonly sizeBytes: number | null;
}

export interface OpenedImage {
  /** The byte that was asked for, or 0: then what was fetched before does not count. */
  readonly startByte: number;
  /** The whole image's size as this answer says it; null where it does not. */
  readonly totalBytes: number | null;
  /** Changes when the image does; null where the source gives nothing of the kind. */
  readonly validator: string | null;
  readonly body: AsyncIterable<Uint8Array>;
  close(): void;
}
