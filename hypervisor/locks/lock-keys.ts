/**
 * Every kind of kernel lock, in the order in which they are taken: whoever holds one may only take those below it. So
 * no two steps can wait for each other. A kind's text says what its lock keeps apart.
 */
const lockOrder = {
  scrub: 'scrubs of the image store: one at a time',
  instance: 'the steps that make an instance’s files, which share it, and whatever takes the instance away',
  disk: 'attempts to make the same file of an instance',
  'rbd-import': 'imports of the same base into a Ceph pool',
  evict: 'claims and pins of a base, which share it, and its removal',
  fetch: 'writers of a base’s files: every step that brings it in, and whatever removes what they left',
  lease: 'builds that take the lease of the same base',
  ledger: 'promises of space',
  notes: 'writers of notes, which share it, and the removal of partial notes',
} as const;

export type LockKind = keyof typeof lockOrder;

/**
 * The subject of one kernel lock. `text` names its byte in the host's lock file, so it stays from release to release.
 */
export interface LockKey {
  readonly kind: LockKind;
  readonly text: string;
}

const ofEach =
  (kind: LockKind) =>
  (name: string): LockKey => ({ kind, text: `${kind}:${name}` });

/** The keys of all kernel locks. `disk` and `rbdImport` take their name as `<instance>/<file>` and `<pool>/<image>`. */
export const lockKeys = {
  scrub: { kind: 'scrub', text: 'scrub' },
  instance: ofEach('instance'),
  disk: ofEach('disk'),
  rbdImport: ofEach('rbd-import'),
  evict: ofEach('evict'),
  fetch: ofEach('fetch'),
  lease: ofEach('lease'),
  ledger: { kind: 'ledger', text: 'ledger' },
  notes: { kind: 'notes', text: 'notes' },
} as const satisfies Record<string, LockKey | ((name: string) => LockKey)>;

const order = Object.keys(lockOrder);

/** Whether locks of the one kind are taken before those of the other. */
export function comesBefore(one: LockKind, other: LockKind): boolean {
  return order.indexOf(one) < order.indexOf(other);
}
