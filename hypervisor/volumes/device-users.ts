import { readFile, realpath, stat } from 'node:fs/promises';
import { listFolder } from '../files/small-file.ts';

/**
 * The host's uses of block devices, given by the path of one and the numbers of it and its partitions, in words:
 * "mounted at /srv". After the kernel's own tables; what another mount namespace has mounted is not among it.
 */
export async function devicesUsers(path: string, numbers: readonly string[]): Promise<readonly string[]> {
  const [mounts, swaps, holders] = await Promise.all([
    mountPoints(path, new Set(numbers)),
    swapAreas(new Set(numbers)),
    Promise.all(numbers.map((number) => listFolder(`/sys/dev/block/${number}/holders`))),
  ]);
  return [
    ...mounts.map((point) => `mounted at ${point}`),
    ...swaps.map((area) => `${area} is a swap area`),
    ...holders.flat().map((holder) => `part of ${holder}`),
  ];
}

/** btrfs shows numbers of its own for its devices, so that the source is looked at, too. */
async function mountPoints(path: string, numbers: ReadonlySet<string>): Promise<readonly string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter((line) => line !== '');
  const points = await Promise.all(
    lines.map(async (line) => {
      const [before = '', after = ''] = line.split(' - ');
      const [, , number = '', , point = ''] = before.split(' ');
      const [, source = ''] = after.split(' ');
      const isSame = numbers.has(number) || (source.startsWith('/dev/') && (await resolved(source)) === path);
      return isSame ? point : undefined;
    }),
  );
  return points.filter((point) => point !== undefined);
}

async function swapAreas(numbers: ReadonlySet<string>): Promise<readonly string[]> {
  const [, ...lines] = (await readFile('/proc/swaps', 'utf8')).split('\n');
  const areas = await Promise.all(
    lines.map(async (line) => {
      const [area = ''] = line.split(/\s/);
      const found = await stat(area).catch(() => undefined);
      return found?.isBlockDevice() && numbers.has(deviceNumber(found.rdev)) ? area : undefined;
    }),
  );
  return areas.filter((area) => area !== undefined);
}

async function resolved(path: string): Promise<string | undefined> {
  return await realpath(path).catch(() => undefined);
}

/** `major:minor`, as the kernel's own files name a device; Linux packs both into one number. */
export function deviceNumber(rdev: number): string {
  const packed = BigInt(rdev);
  const major = ((packed >> 8n) & 0xfffn) | ((packed >> 32n) & ~0xfffn);
  const minor = (packed & 0xffn) | ((packed >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}
