import { dirname } from 'node:path';
import { EverbootFailure } from '../../domain/failures.ts';
import type { GuestFiles } from './guest-files.ts';
import type { InjectionContents } from './injection-contents.ts';

/**
 * An injected item. Its function can run twice: what an earlier run has written is not written again. Paths, modes and
 * the order of writing are those of Nova's nova/virt/disk/api.py.
 */
export interface InjectedItem {
  readonly name: 'ssh keys' | 'network interfaces' | 'metadata' | 'admin password' | 'files';
  /** True: without it the guest is not what was asked for, so that a failure is the boot's. */
  readonly isMandatory: boolean;
  readonly isWanted: (contents: InjectionContents) => boolean;
  readonly inject: (guest: GuestFiles, contents: PreparedContents) => Promise<void>;
}

export interface PreparedContents extends InjectionContents {
  readonly passwordHash: () => Promise<string>;
}

/** Files are the last, so that they have the last word. */
export const injectedItems: readonly InjectedItem[] = [
  {
    name: 'ssh keys',
    isMandatory: false,
    isWanted: ({ sshKeys }) => sshKeys.length > 0,
    inject: async (guest, { sshKeys }) => {
      await guest.makeFolder('/root/.ssh', '700');
      await guest.setMode('/root/.ssh', '700');
      const block = `\n# These ssh keys were injected by everboot\n${sshKeys.join('\n')}\n`;
      await appendOnce(guest, '/root/.ssh/authorized_keys', { block, ifNew: '', mode: '600' });
      await relabelKeysAtBoot(guest);
    },
  },
  {
    name: 'network interfaces',
    isMandatory: false,
    isWanted: ({ interfaces }) => interfaces !== null,
    inject: async (guest, { interfaces }) => {
      await guest.makeFolder('/etc/network', '744');
      await guest.write('/etc/network/interfaces', Buffer.from(interfaces ?? ''));
    },
  },
  {
    name: 'metadata',
    isMandatory: false,
    isWanted: ({ metadata }) => Object.keys(metadata).length > 0,
    inject: (guest, { metadata }) => guest.write('/meta.js', Buffer.from(JSON.stringify(metadata))),
  },
  {
    name: 'admin password',
    isMandatory: false,
    isWanted: ({ adminPassword }) => adminPassword !== null,
    inject: async (guest, { passwordHash }) => {
      const shadow = await readLines(guest, '/etc/shadow');
      const isRoot = (line: string): boolean => line.startsWith('root:');
      if (!(await readLines(guest, '/etc/passwd')).some(isRoot))
        throw new EverbootFailure('ImageUnacceptable', '/etc/passwd has no root');
      if (!shadow.some(isRoot)) throw new EverbootFailure('ImageUnacceptable', '/etc/shadow has no root');
      const hash = await passwordHash();
      const changed = shadow.map((line) => (isRoot(line) ? withSecondField(line, hash) : line));
      await guest.write('/etc/shadow', Buffer.from(changed.join('\n'), 'latin1'));
    },
  },
  {
    name: 'files',
    isMandatory: true,
    isWanted: ({ files }) => files.length > 0,
    inject: async (guest, { files }) => {
      for (const { path, base64, mode } of files) {
        await guest.makeFolder(dirname(path), '744');
        await guest.write(path, Buffer.from(base64, 'base64'), mode === undefined ? {} : { mode });
      }
    },
  },
];

/** sshd of a guest with SELinux reads no keys without their label, which only the guest itself can give. */
async function relabelKeysAtBoot(guest: GuestFiles): Promise<void> {
  if (!(await guest.exists('/etc/selinux'))) return;
  const isElsewhere = !(await guest.exists('/etc/rc.local')) && (await guest.exists('/etc/rc.d'));
  const block =
    '\n# Added by everboot, so that injected ssh keys have the right context\n' +
    'restorecon -RF /root/.ssh 2>/dev/null || :\n';
  const script = isElsewhere ? '/etc/rc.d/rc.local' : '/etc/rc.local';
  await appendOnce(guest, script, { block, ifNew: '#!/bin/sh', mode: '700' });
}

interface Addition {
  readonly block: string;
  /** The first line of a file that is not there yet. */
  readonly ifNew: string;
  readonly mode: string;
}

async function appendOnce(guest: GuestFiles, path: string, { block, ifNew, mode }: Addition): Promise<void> {
  const present = await guest.read(path);
  if (present?.includes(block)) return;
  await guest.write(path, Buffer.concat([present ?? Buffer.from(ifNew), Buffer.from(block)]), { mode });
}

/** A character a byte: whatever else is in the file stays as it is. */
async function readLines(guest: GuestFiles, path: string): Promise<readonly string[]> {
  const bytes = await guest.read(path);
  if (bytes === undefined) throw new EverbootFailure('ImageUnacceptable', `there is no ${path}`);
  return bytes.toString('latin1').split('\n');
}

function withSecondField(line: string, value: string): string {
  const [name = '', , ...others] = line.split(':');
  return [name, value, ...others].join(':');
}
