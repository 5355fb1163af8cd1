import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runProgram } from '../hypervisor/process/run-program.ts';

/** A libvirtd of the test's own, which it may kill. */
export interface PrivateLibvirt {
  /** Its driver without machines. */
  readonly uri: string;
  /** Its driver of containers. */
  readonly containersUri: string;
  readonly start: () => Promise<void>;
  /** SIGKILL, awaited. */
  readonly kill: () => Promise<void>;
}

/** Each folder that a libvirtd takes for itself, and its name in the private one. */
const ownFolders = { run: '/run/libvirt', lib: '/var/lib/libvirt', cache: '/var/cache/libvirt', etc: '/etc/libvirt' };

/**
 * Starts a libvirtd in a mount namespace where it has all its folders for itself, so that it is not in the way of the
 * machine's. Skips the test and returns undefined where that cannot be.
 */
export async function startPrivateLibvirt(t: TestContext): Promise<PrivateLibvirt | undefined> {
  if (process.getuid?.() !== 0) {
    t.skip('a mount namespace needs root');
    return undefined;
  }
  const folder = await mkdtemp(join(tmpdir(), 'everboot-libvirtd-'));
  for (const name of Object.keys(ownFolders)) await mkdir(join(folder, name));
  const socket = join(folder, 'run/libvirt-sock');
  const uri = `test+unix:///default?socket=${socket}`;
  const containersUri = `lxc+unix:///system?socket=${socket}`;
  const mounts = Object.entries(ownFolders).map(([name, path]) => `mkdir -p ${path}; mount --bind ${name} ${path};`);
  let child: ChildProcess | undefined;

  const kill = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child?.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  };
  const start = async (): Promise<void> => {
    await rm(socket, { force: true });
    // A machine with both kinds of control groups has the second in a place where containers cannot have theirs.
    const groups = 'if [ -d /sys/fs/cgroup/memory ]; then umount /sys/fs/cgroup/unified; fi 2>/dev/null;';
    const script = `${mounts.join('')} ${groups} exec libvirtd -p ${folder}/pid`;
    child = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script], {
      cwd: folder,
      stdio: 'ignore',
    });
    for (let waits = 0; waits < 100; waits += 1) {
      await sleep(50);
      const answers = await runProgram('virsh', ['-c', uri, 'uri'], { timeoutMs: 5000 }).then(
        () => true,
        () => false,
      );
      if (answers) return;
    }
    throw new Error(`the private libvirtd does not answer: ${await readFile(join(folder, 'pid'), 'utf8')}`);
  };
  t.after(async () => {
    await kill();
    await rm(folder, { recursive: true, force: true });
  });
  await start();
  return { uri, containersUri, start, kill };
}
