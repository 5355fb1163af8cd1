import { open, readFile } from 'node:fs/promises';
import { publishFile } from '../files/publish-file.ts';
import { isThere } from '../files/small-file.ts';

/** The groups that distributions run libvirt's guests as: Debian and Ubuntu, then Red Hat, SUSE and Arch. */
const guestGroups = ['libvirt-qemu', 'qemu', 'kvm'];

/**
 * Makes an empty console log before libvirt would, as Nova does: libvirt's own would belong to root, and a worker that
 * is not root could not read it. Whoever writes it, QEMU or virtlogd, may; nobody else reads what a guest prints. A log
 * that is there already is kept: it got its name when it had its owner and its mode.
 */
export async function makeConsoleLog(path: string): Promise<void> {
  if (await isThere(path)) return;
  await publishFile(path, async (temporaryPath) => {
    const log = await open(temporaryPath, 'wx', 0o600);
    try {
      const groupId = await guestGroupId();
      if (groupId !== undefined) await log.chown(process.getuid?.() ?? -1, groupId).catch(ignoreRefusal);
      // The process's umask would have taken the group's right to write away.
      await log.chmod(0o660);
    } finally {
      await log.close();
    }
  });
}

/**
 * A worker that is neither root nor in the group may not give a file to it; virtlogd is root and writes all the same.
 */
function ignoreRefusal(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
}

async function guestGroupId(): Promise<number | undefined> {
  const lines = (await readFile('/etc/group', 'utf8').catch(() => '')).split('\n').map((line) => line.split(':'));
  for (const group of guestGroups) {
    const found = lines.find(([name]) => name === group);
    if (found?.[2] !== undefined) return Number(found[2]);
  }
  return undefined;
}
