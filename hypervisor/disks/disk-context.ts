/** Where a disk of an instance is made, and under what. */
export interface DiskContext {
  /** The instance's directory. */
  readonly directory: string;
  /** `space`: the whole disk is reserved on the host. */
  readonly preallocate: 'none' | 'space';
  /** The host's own commands for file systems, by os type (`virt_mkfs`). Absent: it has none. */
  readonly virtMkfs?: readonly string[];
  /** Descriptors of the locks that every program which writes must hold. */
  readonly heldLocks: readonly number[];
}

/** A file that is, or becomes, a disk of that virtual size. */
export interface DiskFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly heldLocks: readonly number[];
}
