import { readFacts } from './base-facts.ts';
import { blankCacheName, imageCacheName } from './cache-name.ts';
import { claimBaseImage } from './claim-base-image.ts';
import { claimBlankBase } from './claim-blank-base.ts';
import { claimedBy, claimsOn, dropEmptyClaims } from './claims.ts';
import { readLease } from './fetch-lease.ts';
import { commitBase } from './ingest/commit.ts';
import { convertBase } from './ingest/convert.ts';
import { downloadBase } from './ingest/download.ts';
import { verifyBase } from './ingest/verify.ts';
import { readCacheFolder } from './maintenance/cache-folder.ts';
import { listCache } from './maintenance/list-cache.ts';
import { pinBase } from './maintenance/pins.ts';
import { scrubCache } from './maintenance/scrub-cache.ts';
import { sweepCache } from './maintenance/sweep-cache.ts';
import { releaseBaseImage, releaseInstanceClaims } from './release-base-image.ts';

/**
 * The image store: the verified images that disks of instances are backed by or copied from, in `_base` of the host. Nothing
 * that is in the middle of coming has a base's name, and nothing that has one is in the middle of anything.
 *
 * The life of a base, and what each state promises to whoever finds it, after a crash of the worker or of the host too:
 *
 * - absent: nothing promises anything. Whoever needs it claims it first and looks afterwards.
 * - claimed: an instance needs it, says a file in `.everboot/claims/<name>/`. From now until the last claim is released
 *   no sweep removes it: a claim and an eviction exclude each other by the lock `evict:<name>`.
 * - leased: one build brings it in, says `.everboot/fetches/<name>.json`; the others wait. The lease only spares them the
 *   work. Writers are kept apart by the lock `fetch:<name>`, which lasts as long as any program that inherited it.
 * - partial: `_base/<name>.part` has some of its bytes. Those that its sidecar counts are there, and a download resumes
 *   behind them; nothing is believed of what they say.
 * - verified: the part has every byte, its digest and its signature, and the inspector and qemu-img agree on what it is.
 *   Where it needs no conversion it is on disk, and `.everboot/bases/<name>.json`, its facts, says that it may be committed.
 * - converted: `_base/<name>.converted` holds the same disk as raw, on disk, and the facts say so of this very file.
 * - published: `_base/<name>` is whole, on disk, and never written again. Only `commit` gives that name.
 * - evicted: nothing claimed, pinned or used it. The file went first and its facts after it; then it is absent again.
 * - quarantined: its bytes differ from their recorded hash. It is `_base/<name>.damaged-<8 hex>`, nothing is built on it any
 *   more, and its facts stay, by which the same base is brought in again.
 *
 * A step of `ingest` may run twice, and each begins where the one before it ended, even if the host crashed in between. A
 * late one finds its claim gone and fails with OperationSuperseded before it writes. A blank disk (an ephemeral one, a
 * swap area) has a shorter life: claimed, made under a temporary name, committed as every base is.
 */
export const imageStore = {
  /** The names that bases have: by what is in them, so that whoever wants the same shares it. */
  names: { ofImage: imageCacheName, ofBlank: blankCacheName },
  claim: claimBaseImage,
  claimBlank: claimBlankBase,
  ingest: { download: downloadBase, verify: verifyBase, convert: convertBase, commit: commitBase },
  release: releaseBaseImage,
  releaseClaimsOf: releaseInstanceClaims,
  dropEmptyClaims,
  list: listCache,
  sweep: sweepCache,
  scrub: scrubCache,
  pin: pinBase,
  /** The store's contents, for reconciliation. Changes nothing. */
  inventory: { factsOf: readFacts, claimsOn, claimedBy, leaseOf: readLease, files: readCacheFolder },
} as const;
