import type { BaseImage, BaseImageOrder, ImageReference } from './image.ts';

/**
 * The kind of a file in the cache: a fetched image, a formatted blank disk (`ephemeral_…`, `swap_…`), something
 * partial, or a file that everboot did not make. Nova may have left the last here; it is never touched.
 */
export type CachedFileKind = 'image' | 'blank' | 'temporary' | 'quarantined' | 'foreign';

/** Why a file of the cache stays, or that nothing keeps it. `fetching`: a build is at it right now. */
export type CachedFileState = 'used' | 'pinned' | 'fetching' | 'unused' | 'damaged' | 'foreign';

/** One line of `everboot cache list`. */
export interface CachedFile {
  /** The file's name in the cache's folder. */
  readonly name: string;
  readonly kind: CachedFileKind;
  readonly state: CachedFileState;
  /** The image's title, where everboot knows it. */
  readonly title: string | null;
  readonly format: 'raw' | 'qcow2' | null;
  /** The space that the file occupies on disk. */
  readonly occupiedBytes: number;
  readonly virtualSizeBytes: number | null;
  /** When it was last used or, of a partial file, written; ISO 8601. */
  readonly lastUsedAt: string;
  readonly pinned: boolean;
  /** When it was last compared with its hash; null: never. */
  readonly scrubbedAt: string | null;
  /** Ids of the instances that need it: by a claim, by a disk that it backs, or by a domain. */
  readonly users: readonly string[];
}

export interface CacheListing {
  readonly host: string;
  readonly folder: string;
  readonly files: readonly CachedFile[];
  /** All files together. */
  readonly occupiedBytes: number;
  /** `[image_cache] max_bytes`. */
  readonly maxBytes: number | null;
}

/** A file that a sweep removed, or would remove. */
export interface SweptFile {
  readonly name: string;
  readonly occupiedBytes: number;
  /** For people: "unused for 26 hours", "over max_bytes by 3 GiB", "left by a fetch that nobody owns". */
  readonly reason: string;
}

export interface SweepReport {
  readonly host: string;
  readonly dryRun: boolean;
  readonly removed: readonly SweptFile[];
  readonly freedBytes: number;
  /** The space that the cache occupies afterwards. */
  readonly occupiedBytes: number;
  /** Notes for an operator: why nothing could be decided, which files are over the budget and in use. */
  readonly notes: readonly string[];
}

/** A base that no longer has the hash that was recorded of it. */
export interface DamagedBase {
  readonly name: string;
  readonly title: string;
  /** The name that it has now, beside the others; nothing is built on it any more. Null: it was gone already. */
  readonly quarantinedAs: string | null;
  /** The instances whose disks it backs. */
  readonly instances: readonly string[];
  /** How to fetch it again; null where everboot does not know where it came from. */
  readonly order: BaseImageOrder | null;
}

export interface ScrubReport {
  readonly host: string;
  readonly checkedFiles: number;
  readonly checkedBytes: number;
  /** Files whose hash was recorded by this scrub, because they had none yet. */
  readonly recordedFiles: number;
  readonly damaged: readonly DamagedBase[];
}

/** The outcome for a damaged base: fetched again, or why not. */
export interface RefetchedBase {
  readonly name: string;
  readonly base: BaseImage | null;
  /** Null where it was fetched. */
  readonly failure: { readonly code: string; readonly message: string } | null;
}

/** The result of the workflow `scrubCache`. */
export interface ScrubResult extends ScrubReport {
  readonly refetched: readonly RefetchedBase[];
}

/** The input of `precacheImage`. */
export interface PrecacheInput {
  readonly host: string;
  readonly image: ImageReference;
  /** True: no sweep removes the file until it is unpinned. */
  readonly pin: boolean;
}

export interface PrecacheResult {
  readonly host: string;
  readonly title: string;
  readonly base: BaseImage;
  readonly pinned: boolean;
}

/** The Temporal workflow ids of the cache’s maintenance, so that one host does one of a kind at a time. */
export function cacheWorkflowId(host: string, what: string): string {
  return `cache/${host}/${what}`;
}
