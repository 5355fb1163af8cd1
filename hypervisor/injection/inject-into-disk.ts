import { EverbootFailure } from '../../domain/failures.ts';
import type { InjectionReport } from '../../domain/host-activities.ts';
import type { RootPlace } from '../../domain/plan-injection.ts';
import { type Guest, type GuestDisk, type GuestfishControl, withGuestfish } from '../programs/guestfish.ts';
import { guestFiles } from './guest-files.ts';
import { type InjectedItem, injectedItems, type PreparedContents } from './injected-items.ts';
import type { InjectionContents } from './injection-contents.ts';
import { mountGuest } from './mount-guest.ts';
import { hashPassword } from './password-hash.ts';

export interface InjectionTarget {
  readonly disk: GuestDisk;
  readonly place: RootPlace;
  /** The image's name in failures. */
  readonly title: string;
}

/**
 * Writes a guest's metadata into its own file system. Files are mandatory; what else fails is a warning, as in Nova.
 *
 * The disk has its final name already, and is changed in place: each run writes the same, a file is replaced in one
 * move, and a file system that a killed run left open is put in order first. So a run that was cut short is simply run
 * again.
 *
 * Throws ImageUnacceptable where files cannot be injected; ProgramMissing, HostUnsuitable, HostIoError and
 * InsufficientSpace where it is the host that cannot. No message quotes a path that a tenant gave.
 */
export async function injectIntoDisk(
  { disk, place, title }: InjectionTarget,
  contents: InjectionContents,
  control: GuestfishControl,
): Promise<InjectionReport> {
  const wanted = injectedItems.filter(({ isWanted }) => isWanted(contents));
  if (wanted.length === 0) return { injected: [], warnings: [] };
  const passwordHash = () => hashPassword(contents.adminPassword ?? '', control.signal);
  try {
    return await withGuestfish(disk, control, async (guest) => {
      await mountGuest(guest, place);
      return await injectItems(guest, wanted, { ...contents, passwordHash }, control.folder);
    });
  } catch (error) {
    const problem = imageProblem(error);
    if (wanted.some(({ isMandatory }) => isMandatory)) throw injectionFailure(title, problem, error);
    return { injected: [], warnings: [`nothing was injected: ${problem}`] };
  }
}

async function injectItems(
  guest: Guest,
  items: readonly InjectedItem[],
  contents: PreparedContents,
  folder: string,
): Promise<InjectionReport> {
  const injected: string[] = [];
  const warnings: string[] = [];
  const files = guestFiles(guest, folder);
  for (const { name, isMandatory, inject } of items) {
    try {
      await inject(files, contents);
      injected.push(name);
    } catch (error) {
      const problem = `${name}: ${imageProblem(error)}`;
      if (isMandatory) throw new EverbootFailure('ImageUnacceptable', problem, { cause: error });
      warnings.push(problem);
    }
  }
  return { injected, warnings };
}

/** The image's problem in words; rethrows an error that is not the image's. */
function imageProblem(error: unknown): string {
  if (!(error instanceof EverbootFailure)) throw error;
  if (error.code !== 'ImageUnacceptable' && error.code !== 'ProgramFailed') throw error;
  return error.message;
}

function injectionFailure(title: string, problem: string, cause: unknown): EverbootFailure {
  return new EverbootFailure('ImageUnacceptable', `files cannot be injected into the image ${title}: ${problem}`, {
    cause,
    remedy:
      'Ask for a config drive (configDrive), or use an image whose file system the host’s inject_partition finds.',
  });
}
