import { execFileSync } from 'node:child_process';
import { mkdtemp, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PlannedRootDisk, PlannedSwapDisk } from '../../../domain/disk-plan.ts';
import { EverbootFailure } from '../../../domain/failures.ts';
import type { BaseImage } from '../../../domain/image.ts';
import type { WorkControl } from '../../../domain/step-progress.ts';
import { staleText } from './test-backend.ts';
import { run } from './volume-group.ts';

export const mebibyte = 2 ** 20;
export const control: WorkControl = { signal: new AbortController().signal, onProgress: () => undefined };

/** Where a plan has its disks. */
export const kept = { format: 'raw', storage: 'lvm', device: 'vda', bus: 'virtio' } as const;

export const swap: PlannedSwapDisk = { kind: 'swap', name: 'disk.swap', ...kept, sizeBytes: 16 * mebibyte };

export function root(mebibytes: number | null): PlannedRootDisk {
  return { kind: 'root', name: 'disk', ...kept, sizeBytes: mebibytes === null ? null : mebibytes * mebibyte };
}

export function failsWith(code: string, words = /./) {
  return (error: unknown) => error instanceof EverbootFailure && error.code === code && words.test(error.message);
}

/** Whether a device holds, from a byte on, what other tenants wrote. */
export function holdsStale(path: string, fromBytes = 0): boolean {
  const script = 'tail -c +"$3" "$1" | grep -q -a -F "$2"';
  try {
    execFileSync('sh', ['-c', script, 'sh', path, staleText, String(fromBytes + 1)]);
    return true;
  } catch {
    return false;
  }
}

/** An image of 10 MiB, of which 6 are a hole, that ends within a sector. */
export async function makeBase(): Promise<BaseImage> {
  const path = join(await mkdtemp(join(tmpdir(), 'everboot-base-')), 'base.raw');
  const virtualSizeBytes = 10 * mebibyte + 100;
  run('dd', ['if=/dev/urandom', `of=${path}`, 'bs=1M', 'count=4', 'status=none']);
  await truncate(path, virtualSizeBytes);
  return { cacheName: 'base', path, format: 'raw', virtualSizeBytes };
}
