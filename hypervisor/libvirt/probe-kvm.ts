import { constants } from 'node:fs';
import { access, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { release, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LibvirtSettings } from '../../domain/configuration.ts';
import type { VirtType } from '../../domain/domain-xml/domain-description.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { readBootId } from '../files/boot-id.ts';
import { publishText } from '../files/publish-file.ts';
import { isThere, readStateFile } from '../files/small-file.ts';
import { runProgram } from '../process/run-program.ts';

type MachineType = Extract<VirtType, 'kvm' | 'qemu'>;

/**
 * A kernel finds that it has no root within a second under KVM. A host where this takes longer gains nothing by KVM.
 */
const kernelTimeoutMs = 15_000;
const bootSectorTimeoutMs = 3_000;

/** QEMU's exit code when the boot sector below has reached its end: (0x31 << 1) | 1. */
export const bootSectorSuccess = 99;

const running = new Map<string, Promise<MachineType>>();

/**
 * How this host's guests run: what the configuration says or, for `auto`, KVM if a small guest really comes up under
 * it, else plain QEMU. /dev/kvm may open and still not run a guest, as in some virtual machines. The answer is kept in
 * the state folder until the machine boots again; callers at the same time share one guest.
 */
export async function resolveVirtType(
  setting: LibvirtSettings['virtType'],
  stateDirectory: string,
  signal: AbortSignal,
): Promise<VirtType> {
  if (setting !== 'auto') return setting;
  if (!(await isThere('/dev/kvm'))) return 'qemu';
  signal.throwIfAborted();
  // The guest has a limit of its own and others may wait for it, so that one who gives up does not end it.
  return await unlessAborted(running.get(stateDirectory) ?? startProbe(stateDirectory), signal);
}

function startProbe(stateDirectory: string): Promise<MachineType> {
  const probe = probeOnce(stateDirectory).finally(() => running.delete(stateDirectory));
  running.set(stateDirectory, probe);
  return probe;
}

async function probeOnce(stateDirectory: string): Promise<MachineType> {
  const path = join(stateDirectory, 'virt-type.json');
  const bootId = await readBootId();
  const kept = (await readStateFile(path)) as { bootId?: unknown; virtType?: unknown } | undefined;
  if (kept?.bootId === bootId && (kept.virtType === 'kvm' || kept.virtType === 'qemu')) return kept.virtType;
  try {
    const kernel = await findKernel(stateDirectory);
    const runs = kernel === undefined ? await bootSectorRuns() : await kernelRuns(kernel);
    const virtType = runs ? 'kvm' : 'qemu';
    await mkdir(stateDirectory, { recursive: true });
    await publishText(path, `${JSON.stringify({ bootId, virtType })}\n`, 0o644);
    return virtType;
  } catch (error) {
    // Without QEMU there is nothing to keep: it may be installed in a minute.
    if (error instanceof EverbootFailure && error.code === 'ProgramMissing') return 'qemu';
    throw error;
  }
}

/** A Linux kernel to try: the one for small guests if it is there, else the host's own. */
async function findKernel(stateDirectory: string): Promise<string | undefined> {
  const guestBoot = join(stateDirectory, 'guest', 'root', 'boot');
  const names = await readdir(guestBoot).catch(() => []);
  const candidates = [
    ...names.filter((name) => name.startsWith('vmlinuz')).map((name) => join(guestBoot, name)),
    `/boot/vmlinuz-${release()}`,
    '/boot/vmlinuz',
  ];
  for (const candidate of candidates) if (await isReadable(candidate)) return candidate;
  return undefined;
}

/** Some distributions let only root read a kernel. */
async function isReadable(path: string): Promise<boolean> {
  return await access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}

/**
 * The processor is as near as QEMU comes to the `host-model` of our domains. Nothing is attached that was not asked
 * for.
 */
const machine = ['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-M', 'pc', '-accel', 'kvm'];
const processor = ['-cpu', 'host', '-m', '256'];

/** As any Linux says on its console that it does not continue. */
const panic = /Kernel panic/;

/** Boots a kernel that has no root: it gets as far as its panic, where it is set to restart, at which QEMU exits. */
async function kernelRuns(kernel: string): Promise<boolean> {
  const words = 'panic=-1 console=ttyS0 earlyprintk=ttyS0 edd=off';
  const args = [...machine, ...processor, '-serial', 'stdio', '-kernel', kernel, '-append', words];
  const said = await runGuest(args, kernelTimeoutMs);
  return panic.test(said ?? '');
}

async function bootSectorRuns(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'everboot-probe-'));
  try {
    const disk = join(folder, 'boot-sector');
    await writeFile(disk, bootSector());
    const drive = ['-drive', `file=${disk},format=raw,if=ide,read-only=off,snapshot=on`];
    const exitDevice = ['-device', 'isa-debug-exit,iobase=0xf4,iosize=1'];
    return (await runGuest([...machine, ...processor, ...drive, ...exitDevice], bootSectorTimeoutMs)) === undefined;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Returns the output of a guest; undefined when it ended with the boot sector's success. A guest that hangs, or makes
 * QEMU stop, has printed nothing that counts.
 */
async function runGuest(args: readonly string[], timeoutMs: number): Promise<string | undefined> {
  try {
    return (await runProgram('qemu-system-x86_64', args, { timeoutMs })).stdout;
  } catch (error) {
    if (!(error instanceof EverbootFailure) || error.code === 'ProgramMissing') throw error;
    return error.program?.exitCode === bootSectorSuccess ? undefined : '';
  }
}

/**
 * For hosts with no kernel to be seen. It does what the parts of a kernel do at which a half-working KVM stops: page
 * tables, long mode, and 50,000 exits to the host, which take a tenth of a second on a good one. In assembler:
 *
 * real mode: cli; ds, es, ss = 0; clear 0x1000..0x3fff; page tables at 0x1000, 0x2000, 0x3000 mapping the first 2 MiB;
 * cr4 = PAE + PGE; cr3 = 0x1000; EFER.LME; cr0 |= PG + PE; lgdt; jump to
 * long mode: ds, es, ss = 16; 50,000 times cpuid; out 0xf4, 0x31 (the exit device); hlt indefinitely; the GDT.
 */
export function bootSector(): Uint8Array {
  const code = Buffer.from(bootSectorCode, 'base64');
  const sector = Buffer.alloc(512);
  code.copy(sector);
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

const bootSectorCode =
  '+jHAjtiOwI7QvAB8/L8AEGa5AAwAAGYxwGbzq8cGABADIMcGACADMMcGADCDAGa4oAAAAA8i4Ga4ABAAAA8i2Ga5gAAAwA8yZg0A' +
  'AQAADzAPIMBmDQEAAIAPIsBmDwEWoHzqZ3wIAGa4EACO2I7AjtBBuFDDAAAxwA+iQf/IdfewMeb09Ov9kAAAAAAAAAAAAAAAAACa' +
  'IAAAAAAAAJIAABcAiHw=';

async function unlessAborted<Made>(work: Promise<Made>, signal: AbortSignal): Promise<Made> {
  return await new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
