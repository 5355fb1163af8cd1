import { EverbootFailure } from '../../domain/failures.ts';
import type { ProgramEnd } from '../../domain/program-end.ts';

/** Debian's package for each program, so that a missing one can be named. */
const packageOf: Readonly<Record<string, string>> = {
  'qemu-img': 'qemu-utils',
  'qemu-system-x86_64': 'qemu-system-x86',
  xorriso: 'xorriso',
  'mkfs.ext4': 'e2fsprogs',
  'mkfs.ext3': 'e2fsprogs',
  'mkfs.ext2': 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  'mkfs.vfat': 'dosfstools',
  'mkfs.xfs': 'xfsprogs',
  'mkfs.ntfs': 'ntfs-3g',
  'mkfs.btrfs': 'btrfs-progs',
  mkswap: 'util-linux',
  fallocate: 'util-linux',
  setpriv: 'util-linux',
  prlimit: 'util-linux',
  unshare: 'util-linux',
  guestfish: 'guestfish',
  openssl: 'openssl',
  virsh: 'libvirt-clients',
  lvm: 'lvm2',
  blkdiscard: 'util-linux',
  shred: 'coreutils',
  rbd: 'ceph-common',
  ceph: 'ceph-common',
};

/**
 * Words of util-linux 2.38.1, whose programs run every other one, and of glibc 2.36, in which any program says what the
 * kernel refused. They are English, since no program gets another locale.
 */
const words = {
  notFound: /No such file or directory/,
  noSpace: /No space left on device/,
  noProcess: /Resource temporarily unavailable/,
  // unshare cannot end as its program did where that was by SIGKILL, and says this then, and only then.
  killedInside: /^unshare: sigprocmask unblock failed/m,
};

/** The status with which a wrapper ends that cannot find the program it is to become. */
const notFoundStatus = 127;

/** The limits under which a program ran. */
export interface EndedLimits {
  readonly timeoutMs: number;
  readonly maxOutputBytes: number;
}

/**
 * The failure for a program that did not end well: ProgramTimedOut, ProgramMissing, InsufficientSpace, HostIoError (it
 * was killed by somebody else, or could not begin), else ProgramFailed with the end of what it said.
 */
export function programFailure(end: ProgramEnd, limits: EndedLimits): EverbootFailure {
  const { program, exitCode, signal, stderrTail, cut } = end;
  const said = stderrTail === '' ? 'it said nothing' : stderrTail;
  if (cut === 'time') {
    const problem = `${program} ran longer than ${limits.timeoutMs / 1000} s and was ended`;
    return new EverbootFailure('ProgramTimedOut', problem, { program: end });
  }
  if (cut === 'output') {
    // Whatever it made of its broken pipe says nothing of what was wrong.
    const problem = `${program} printed more than ${limits.maxOutputBytes} bytes and was ended`;
    return new EverbootFailure('ProgramFailed', problem, { program: end });
  }
  if (exitCode === notFoundStatus && words.notFound.test(stderrTail)) return missingProgram(program);
  if (words.noSpace.test(stderrTail)) {
    return new EverbootFailure('InsufficientSpace', `${program} ran out of space: ${said}`, { program: end });
  }
  if (words.noProcess.test(stderrTail)) {
    // A process or a thread could not be started, which has no more to do with the program's work than with the time.
    return new EverbootFailure('HostIoError', `${program} could not run: ${said}`, { program: end });
  }
  if (signal === 'SIGKILL' || words.killedInside.test(stderrTail)) {
    // Nobody here killed it: the kernel did, for want of memory, or an operator.
    return new EverbootFailure('HostIoError', `${program} was killed by somebody else: ${said}`, { program: end });
  }
  const how = signal ?? `exit status ${exitCode}`;
  return new EverbootFailure('ProgramFailed', `${program} ended with ${how}: ${said}`, { program: end });
}

export function missingProgram(program: string): EverbootFailure {
  const hint = packageOf[program];
  const problem = `${program} is not installed on this host`;
  return new EverbootFailure(
    'ProgramMissing',
    problem,
    hint === undefined ? {} : { remedy: `Install it: apt-get install ${hint}` },
  );
}

/** Whether an error is a program's that failed: by its own word, by a signal, or for printing too much. */
export function isFailedProgram(error: unknown): error is EverbootFailure & { readonly program: ProgramEnd } {
  return error instanceof EverbootFailure && error.code === 'ProgramFailed' && error.program !== undefined;
}
