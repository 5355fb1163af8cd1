import { EverbootFailure } from '../../domain/failures.ts';
import type { ImageFormat } from '../../domain/image.ts';
import type { WorkControl } from '../../domain/step-progress.ts';
import { isFailedProgram } from '../process/program-failure.ts';
import { type ProgramOptions, type ProgramOutput, runProgram } from '../process/run-program.ts';
import { timeForBytesMs } from '../process/time-for-bytes.ts';
import { type ImageInfo, parseImageInfo } from './qemu-img-info.ts';
import { isImageAtFault } from './qemu-img-words.ts';

const gibibyte = 2 ** 30;

/** QEMU's words for the formats. The format is always given: a guest can write any header into its own raw disk. */
const drivers = {
  raw: 'raw',
  iso: 'raw',
  ami: 'raw',
  aki: 'raw',
  ari: 'raw',
  qcow2: 'qcow2',
  vmdk: 'vmdk',
  vhd: 'vpc',
  vhdx: 'vhdx',
  vdi: 'vdi',
} as const satisfies Record<ImageFormat, string>;

/** As Nova's images_address_space_limit and images_cpu_time_limit for looking at a file. */
const lookLimits = { memoryBytes: gibibyte, cpuSeconds: 30 };

export interface ImageInfoOptions {
  readonly heldLocks?: readonly number[];
  /** True: a tenant made the file, so qemu-img is shut off, and what it cannot read is ImageUnacceptable. */
  readonly untrusted?: boolean;
}

/** Reads one file's header as the given format. No backing file is opened. */
export async function imageInfo(
  path: string,
  format: string,
  { heldLocks = [], untrusted = false }: ImageInfoOptions,
  { signal }: WorkControl,
): Promise<ImageInfo> {
  // A guest may have the file open by now; --force-share looks at it all the same.
  const args = ['info', '--output=json', '--force-share', '-f', driverOf(format), path];
  const run = { signal, heldLocks, timeoutMs: timeForBytesMs(0), limits: lookLimits, isolateNetwork: untrusted };
  const { stdout } = await (untrusted ? judging(path, qemuImg(args, run)) : qemuImg(args, run));
  try {
    return parseImageInfo(stdout);
  } catch (cause) {
    const problem = `qemu-img describes ${path} as no disk can be`;
    throw new EverbootFailure(untrusted ? 'ImageUnacceptable' : 'ProgramFailed', problem, { cause });
  }
}

/** A stretch of a file that holds data, in bytes. */
export interface DataExtent {
  readonly start: number;
  readonly length: number;
}

/** More stretches than this are not listed, some 60 bytes each. */
const maxMapBytes = 64 * 2 ** 20;

/** Where a raw file of the host's own holds data, in order; between them are holes. */
export async function dataExtents(
  path: string,
  heldLocks: readonly number[],
  { signal }: WorkControl,
): Promise<readonly DataExtent[]> {
  const args = ['map', '--output=json', '-f', 'raw', path];
  const run = { signal, heldLocks, timeoutMs: timeForBytesMs(0), limits: lookLimits, isolateNetwork: true };
  const { stdout } = await qemuImg(args, { ...run, maxOutputBytes: maxMapBytes });
  const extents = JSON.parse(stdout) as readonly (DataExtent & { readonly data: boolean })[];
  return extents.flatMap(({ start, length, data }) => (data ? [{ start, length }] : []));
}

export interface ImageConversion {
  readonly source: string;
  readonly sourceFormat: string;
  /** Becomes raw, with holes where the disk is empty. The caller syncs it. */
  readonly destination: string;
  /** The source's virtual size, as it was judged: nothing larger is written. */
  readonly virtualSizeBytes: number;
  readonly heldLocks: readonly number[];
}

/** Converts a tenant's image to raw. Throws ImageUnacceptable when it cannot be read to its end. */
export async function convertImage(conversion: ImageConversion, control: WorkControl): Promise<void> {
  const { source, sourceFormat, destination, virtualSizeBytes, heldLocks } = conversion;
  // Writeback makes qemu-img flush at its end, so that an error of a delayed write is its own.
  const args = ['convert', '-p', '-t', 'writeback', '-f', driverOf(sourceFormat), '-O', 'raw', source, destination];
  const timeoutMs = timeForBytesMs(virtualSizeBytes);
  const running = qemuImg(args, {
    signal: control.signal,
    heldLocks,
    timeoutMs,
    // Each of its threads reserves address space, so it is given more of that than for a look.
    limits: { memoryBytes: 2 * gibibyte, cpuSeconds: Math.ceil(timeoutMs / 1000), fileSizeBytes: virtualSizeBytes },
    isolateNetwork: true,
    onOutput: (text) => reportPercents(text, virtualSizeBytes, control),
  });
  await judging(source, running);
}

export interface DeviceConversion extends ImageConversion {
  /** True: the device reads as zeros already, and stays unwritten where the image is empty. */
  readonly isZero: boolean;
}

/**
 * Converts an image straight into a block device that is large enough, around the page cache. Where the image is empty
 * it writes zeros, unless the device has them. The caller syncs it. Throws ImageUnacceptable when it cannot be read.
 */
export async function convertIntoDevice(conversion: DeviceConversion, control: WorkControl): Promise<void> {
  const { source, sourceFormat, destination, virtualSizeBytes, isZero, heldLocks } = conversion;
  const target = ['-n', ...(isZero ? ['--target-is-zero'] : []), '-t', 'none'];
  const args = ['convert', '-p', ...target, '-f', driverOf(sourceFormat), '-O', 'raw', source, destination];
  const timeoutMs = timeForBytesMs(virtualSizeBytes);
  const running = qemuImg(args, {
    signal: control.signal,
    heldLocks,
    timeoutMs,
    limits: { memoryBytes: 2 * gibibyte, cpuSeconds: Math.ceil(timeoutMs / 1000), fileSizeBytes: 0 },
    isolateNetwork: true,
    onOutput: (text) => reportPercents(text, virtualSizeBytes, control),
  });
  await judging(source, running);
}

export interface Overlay {
  readonly path: string;
  readonly backingFile: string;
  readonly backingFormat: 'raw' | 'qcow2';
  readonly sizeBytes: number;
  /** Null: QEMU's own choice. */
  readonly clusterSizeBytes: number | null;
  readonly heldLocks: readonly number[];
}

/** Makes an empty qcow2 on a backing file, with its final size at once. */
export async function createOverlay(overlay: Overlay, { signal }: WorkControl): Promise<void> {
  const { path, backingFile, backingFormat, sizeBytes, clusterSizeBytes, heldLocks } = overlay;
  const options = clusterSizeBytes === null ? [] : ['-o', `cluster_size=${clusterSizeBytes}`];
  const backing = ['-F', backingFormat, '-b', backingFile];
  const args = ['create', '-q', '-f', 'qcow2', ...backing, ...options, path, String(sizeBytes)];
  const isolateNetwork = backingFormat !== 'raw';
  await qemuImg(args, { signal, heldLocks, timeoutMs: timeForBytesMs(0), limits: lookLimits, isolateNetwork });
}

export interface Resize {
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
  readonly sizeBytes: number;
  readonly heldLocks: readonly number[];
}

/** Makes a disk larger. qemu-img refuses to make it smaller. */
export async function growImage(
  { path, format, sizeBytes, heldLocks }: Resize,
  { signal }: WorkControl,
): Promise<void> {
  const args = ['resize', '-q', '-f', format, path, String(sizeBytes)];
  await qemuImg(args, { signal, heldLocks, timeoutMs: timeForBytesMs(0), limits: lookLimits });
}

function qemuImg(args: readonly string[], options: ProgramOptions): Promise<ProgramOutput> {
  return runProgram('qemu-img', args, options);
}

function driverOf(format: string): string {
  if (Object.hasOwn(drivers, format)) return drivers[format as ImageFormat];
  throw new EverbootFailure(
    'ImageUnacceptable',
    `images of the format ${format} are not read; expected ${Object.keys(drivers).join(', ')}`,
  );
}

/** A program that could not read a tenant's image is the image's failure. */
async function judging<Output>(path: string, running: Promise<Output>): Promise<Output> {
  try {
    return await running;
  } catch (error) {
    if (!isFailedProgram(error) || !isImageAtFault(error.program)) throw error;
    throw new EverbootFailure('ImageUnacceptable', `the image ${path} cannot be read: ${error.message}`, {
      cause: error,
      program: error.program,
    });
  }
}

/** `qemu-img -p` prints "(12.50/100%)" again and again, with carriage returns in between. */
function reportPercents(text: string, totalBytes: number, { onProgress }: WorkControl): void {
  const percents = text.match(/[\d.]+(?=\/100%)/g)?.at(-1);
  if (percents !== undefined) onProgress({ doneBytes: Math.round((Number(percents) / 100) * totalBytes), totalBytes });
}
