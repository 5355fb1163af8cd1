/** The file systems that an ephemeral disk may have. */
export const fileSystemNames = ['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'vfat', 'ntfs'] as const;
export type FileSystemName = (typeof fileSystemNames)[number];

interface FileSystemLimits {
  readonly maxLabelBytes: number;
  /** Its program makes none that is smaller. Absent: any disk is large enough. */
  readonly leastBytes?: number;
  /** Its program continues beyond this, and leaves the rest unused. */
  readonly mostBytes?: number;
}

const ext: FileSystemLimits = { maxLabelBytes: 16 };

const limits = {
  ext2: ext,
  ext3: ext,
  ext4: ext,
  xfs: { maxLabelBytes: 12, leastBytes: 300 * 2 ** 20 },
  btrfs: { maxLabelBytes: 255, leastBytes: 109 * 2 ** 20 },
  // Sectors of 512 bytes are counted in 32 bits.
  vfat: { maxLabelBytes: 11, mostBytes: 2 ** 41 - 512 },
  ntfs: { maxLabelBytes: 32 },
} as const satisfies Record<FileSystemName, FileSystemLimits>;

export interface FileSystemShape {
  readonly fileSystem: string;
  readonly label: string;
  readonly sizeBytes: number;
}

export function isFileSystemName(text: string): text is FileSystemName {
  return Object.hasOwn(limits, text);
}

/** Whether a disk can have a file system with a label. Returns what is wrong, in words, or null. */
export function fileSystemProblem({ fileSystem, label, sizeBytes }: FileSystemShape): string | null {
  if (!isFileSystemName(fileSystem)) {
    return `hosts do not make the file system ${JSON.stringify(fileSystem)}; expected ${fileSystemNames.join(', ')}`;
  }
  const { maxLabelBytes, leastBytes = 0, mostBytes = Number.POSITIVE_INFINITY }: FileSystemLimits = limits[fileSystem];
  if (new TextEncoder().encode(label).length > maxLabelBytes) {
    return `the label ${JSON.stringify(label)} is too long for ${fileSystem}, which has room for ${maxLabelBytes} bytes`;
  }
  if (sizeBytes < leastBytes)
    return `a disk of ${sizeBytes} bytes is too small for ${fileSystem}: it needs ${leastBytes}`;
  if (sizeBytes > mostBytes)
    return `a disk of ${sizeBytes} bytes is too large for ${fileSystem}: it has room for ${mostBytes}`;
  return null;
}
