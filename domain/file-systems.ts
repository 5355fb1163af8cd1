/** The file systems that an ephemeral disk may have. */
export const fileSystemNames = ['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'vfat', 'ntfs'] as const;
export type FileSystemName = (typeof fileSystemNames)[number];
