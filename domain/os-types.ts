import { EverbootFailure } from './failures.ts';
import type { FileSystemName } from './file-systems.ts';

/**
 * The file system that an ephemeral disk gets, by the instance's os type, which decides nothing else here. The types
 * are Nova's `OSType`, and `default` for every other system; the file systems are those of its `_DEFAULT_FS_BY_OSTYPE`
 * and, for every other system, the one that nearly all can read. The list is closed, because each entry may put files
 * of its own into the cache.
 */
const fileSystems = { linux: 'ext4', windows: 'ntfs', default: 'vfat' } as const satisfies Record<
  string,
  FileSystemName
>;

export type OsType = keyof typeof fileSystems;

export const osTypes = Object.keys(fileSystems) as readonly OsType[];

/** The os type that a spec or an image names, in any case of letters, as Nova reads it. Throws SpecInvalid. */
export function parseOsType(text: string): OsType {
  const lowerCase = text.toLowerCase();
  const known = osTypes.find((osType) => osType === lowerCase);
  if (known !== undefined) return known;
  throw new EverbootFailure('SpecInvalid', `the os type ${JSON.stringify(text)} is not one of ${osTypes.join(', ')}`, {
    remedy: 'Set osType in the spec to one of these; it goes before the image’s os_type property.',
  });
}

export function ephemeralFileSystem(osType: OsType): FileSystemName {
  return fileSystems[osType];
}
