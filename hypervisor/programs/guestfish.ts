import type { DiskFormat } from '../../domain/disk-plan.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { runProgram } from '../process/run-program.ts';
import { reportingFullDisk } from '../space/full-disk.ts';
import { endedFailure, failureAtWork, failureBefore, startFailure } from './guestfish-failures.ts';
import { commandLine } from './guestfish-line.ts';
import { openTalk, type Talk } from './guestfish-talk.ts';
import { diskErrorIn, reasonIn } from './guestfish-words.ts';

const gibibyte = 2 ** 30;

/** A small virtual machine of its own starts and works on a file system, perhaps without KVM. */
const usualTimeoutMs = 10 * 60_000;

/** The appliance has 1.25 GiB and QEMU what it needs around it: 2.8 GiB of addresses were seen. */
const memoryBytes = 6 * gibibyte;

/** A disk of an instance: a file, or a block device. */
export interface GuestDisk {
  readonly path: string;
  readonly format: DiskFormat;
}

export interface GuestfishControl extends WorkControl {
  /** Descriptors of the locks under which the disk is written, see `runProgram`. */
  readonly heldLocks: readonly number[];
  /** Only the worker's user can enter it; libguestfs keeps its own files there. */
  readonly folder: string;
  /** How long the whole of it may take, where that depends on how much is read; absent: as long as for a few files. */
  readonly timeoutMs?: number;
  /** True: KVM does not run guests on this host, so the appliance runs without it. */
  readonly forceTcg: boolean;
}

/** A disk's file systems, as seen inside libguestfs' appliance. */
export interface Guest {
  /**
   * Carries out one of guestfish's commands and returns what it printed, a character a byte. Throws ProgramFailed when
   * the command fails, in words that quote no path; the appliance lives on.
   */
  readonly run: (command: string, ...args: readonly string[]) => Promise<string>;
}

/** Commands whose complaints name devices and file systems only; the others quote paths, which may be secret. */
const openCommands: ReadonlySet<string> = new Set([
  'add',
  'run',
  'inspect-os',
  'inspect-get-mountpoints',
  'vfs-type',
  'fsck',
  'e2fsck',
  'mount-options',
  'resize2fs',
  'umount-all',
  'shutdown',
]);

/**
 * Starts libguestfs' appliance, a virtual machine without network that has this one disk, and gives it to `work`. The
 * tenant's file systems are read and written by the appliance's kernel, and by nothing on the host. Commands go over
 * guestfish's standard input, so that no path is in a list of arguments.
 *
 * Two things fence the disk's writers: guestfish holds the locks' descriptors and its QEMU ends with it, at the hands
 * of the kernel; and QEMU itself locks the disk's file.
 *
 * Throws ProgramMissing, HostUnsuitable (the appliance does not start), ImageUnacceptable (it was ended by what it
 * found on the disk, or by the time this took), HostIoError and InsufficientSpace (the host's disk failed or was full,
 * whatever `work` made of that) and what `work` throws.
 */
export async function withGuestfish<Made>(
  disk: GuestDisk,
  control: GuestfishControl,
  work: (guest: Guest) => Promise<Made>,
): Promise<Made> {
  const talk = openTalk();
  const { timeoutMs = usualTimeoutMs } = control;
  let isLaunched = false;
  const program = runProgram('guestfish', [], {
    signal: control.signal,
    heldLocks: control.heldLocks,
    timeoutMs,
    // It has two processors' worth of threads.
    limits: { memoryBytes, cpuSeconds: Math.ceil(timeoutMs / 500) },
    isolateNetwork: true,
    isolateProcesses: true,
    // For root, its sockets are always in /tmp, whatever the environment says.
    temporaryFolder: control.folder,
    environment: environmentOf(control),
    maxOutputBytes: 32 * 2 ** 20,
    ...talk.streams,
  });
  const ended = program.then(
    () => Promise.reject(endedFailure(isLaunched)),
    (error: unknown) => Promise.reject(isLaunched ? failureAtWork(error, timeoutMs) : failureBefore(error)),
  );
  const session = async (): Promise<Made> => {
    await launch(talk, disk);
    isLaunched = true;
    try {
      const made = await work({ run: (command, ...args) => say(talk, command, ...args) });
      // Only now is everything written.
      await say(talk, 'umount-all');
      return made;
    } finally {
      // It comes first: a disk that fails is not what the tenant put on it.
      await reportingFullDisk(disk.path, () => checkDiskHeld(talk));
      await say(talk, 'shutdown');
    }
  };
  try {
    return await Promise.race([session(), ended]);
  } finally {
    talk.close();
    await program.catch(() => undefined);
  }
}

/** The direct backend, because the other one would have libvirt run the appliance as one of its guests. */
function environmentOf({ folder, forceTcg }: GuestfishControl): Record<string, string> {
  return {
    LIBGUESTFS_BACKEND: 'direct',
    LIBGUESTFS_TMPDIR: folder,
    ...(forceTcg && { LIBGUESTFS_BACKEND_SETTINGS: 'force_tcg' }),
  };
}

async function launch(talk: Talk, { path, format }: GuestDisk): Promise<void> {
  try {
    // Else QEMU stops the appliance permanently as soon as the host has no room for a write.
    await say(talk, 'config -set drive.hd0.werror=report');
    // The format is always given: a guest can write any header into its own raw disk.
    await say(talk, 'add', path, `format:${format}`);
    await say(talk, 'run');
  } catch (error) {
    throw error instanceof EverbootFailure ? startFailure(error.message) : error;
  }
}

/**
 * Nobody learns what a file system cannot write back: neither umount nor the appliance's end fail. Its kernel has noted
 * it. Throws HostIoError.
 */
async function checkDiskHeld(talk: Talk): Promise<void> {
  const line = diskErrorIn(await say(talk, 'dmesg'));
  if (line !== undefined)
    throw new EverbootFailure('HostIoError', `the host’s disk failed below the appliance: ${line}`);
}

async function say(talk: Talk, command: string, ...args: readonly string[]): Promise<string> {
  const { said, complaint } = await talk.say(commandLine(command, args));
  if (complaint === '') return said;
  const reason = openCommands.has(command) ? complaint : reasonIn(complaint);
  throw new EverbootFailure('ProgramFailed', `guestfish ${command}: ${reason}`);
}
